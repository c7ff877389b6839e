using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>The checks that need one file only.</summary>
internal static class FileChecks
{
    public static void Run(FileModel file, DiagnosticBag diagnostics, CancellationToken cancel)
    {
    }
}
