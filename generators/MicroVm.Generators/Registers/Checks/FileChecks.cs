using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Checks;

/// <summary>The checks that need one file only.</summary>
internal static class FileChecks
{
    public static void Run(FileModel file, DiagnosticBag diagnostics, CancellationToken cancel)
    {
        foreach (BlockModel block in file.Blocks)
        {
            cancel.ThrowIfCancellationRequested();
            var scope = new BlockScope(block);
            LayoutChecks.Run(block, diagnostics, cancel);
            NameChecks.Run(block, diagnostics);
            ReferenceChecks.Run(scope, diagnostics);
            GuardChecks.Run(scope, diagnostics);
            foreach (RegisterModel register in block.Flatten().Where(static r => !r.Broken))
            {
                ValueChecks.Run(register, diagnostics);
                WordChecks.Run(block, register, diagnostics);
            }
        }
        DataChecks.Run(file, diagnostics);
        DocumentationChecks.Run(file, diagnostics);
    }

    public static string Hex(ulong value) => CodeWriter.Hex(value);
}
