using System.Runtime.CompilerServices;

// Every import is blittable; the attribute makes the compiler insist on it.
[assembly: DisableRuntimeMarshalling]
