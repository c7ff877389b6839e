using System.Runtime.InteropServices;

namespace MicroVm.Kvm;

/// <summary>Request numbers and structures of <c>linux/iommufd.h</c> (Linux 6.2 and later).</summary>
internal static class IommufdAbi
{
    internal const nuint Destroy = 0x3b80, IoasAlloc = 0x3b81, IoasIovaRanges = 0x3b84, IoasMap = 0x3b85, IoasUnmap = 0x3b86;

    internal const uint MapFixedIova = 1, MapWriteable = 2, MapReadable = 4;

    [StructLayout(LayoutKind.Sequential)]
    internal struct DestroyObject
    {
        internal uint Size, Id;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct AllocIoas
    {
        internal uint Size, Flags, Id;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct IovaRange
    {
        internal ulong First, Last;
    }

    /// <summary><c>Count</c>: in, how many there is room for; out, how many there are. Too little room is <see cref="Libc.EMSGSIZE"/>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct IovaRanges
    {
        internal uint Size, Ioas, Count, Reserved;
        internal ulong Ranges, Alignment;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct MapIoas
    {
        internal uint Size, Flags, Ioas, Reserved;
        internal ulong HostAddress, Length, Iova;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct UnmapIoas
    {
        internal uint Size, Ioas;
        internal ulong Iova, Length;
    }
}
