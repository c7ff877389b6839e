namespace MicroVm.Generators.Acpi;

/// <summary>Checks of a whole file that the encoder cannot make term by term.</summary>
internal static class Checks
{
    public static void Run(AslFile file, RegisterLayouts layouts, DiagnosticBag bag, CancellationToken cancel)
    {
    }
}
