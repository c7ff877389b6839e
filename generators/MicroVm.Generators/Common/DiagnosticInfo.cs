using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace MicroVm.Generators.Common;

/// <summary>A diagnostic as plain values, so that it can stand in an incremental model. Lines and columns count from 0.</summary>
public sealed record DiagnosticInfo(string Id, string Path, int Start, int Length, int Line, int Column, EquatableArray<string> Arguments)
{
    public Diagnostic Create(DiagnosticDescriptor descriptor)
    {
        var from = new LinePosition(Line, Column);
        var location = Location.Create(Path, new TextSpan(Start, Length), new LinePositionSpan(from, new LinePosition(Line, Column + Length)));
        return Diagnostic.Create(descriptor, location, [.. Arguments.Select(static a => (object)a)]);
    }
}
