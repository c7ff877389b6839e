using Microsoft.CodeAnalysis;

namespace MicroVm.Generators.Registers;

/// <summary>The diagnostics MVG0xx. Each has a page in docs/diagnostics.</summary>
internal static class Descriptors
{
    private static readonly DiagnosticDescriptor Syntax = new("MVG020", "Syntax", "expected {0}, found {1}", "MicroVm.Registers", DiagnosticSeverity.Error, true);

    public static DiagnosticDescriptor Get(string id) => Syntax;
}
