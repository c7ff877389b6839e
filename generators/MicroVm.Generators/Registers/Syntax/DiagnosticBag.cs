using MicroVm.Generators.Common;

namespace MicroVm.Generators.Registers.Syntax;

/// <summary>Collects the errors of one file; all of them, not the first.</summary>
internal sealed class DiagnosticBag(string path)
{
    private readonly List<DiagnosticInfo> _items = [];

    public int Count => _items.Count;

    public void Add(string id, Pos at, params string[] arguments) =>
        _items.Add(new DiagnosticInfo(id, path, at.Start, Math.Max(at.Length, 1), at.Line, at.Column, new EquatableArray<string>(arguments)));

    /// <summary>In the order of the file, so that the output does not depend on the order of the checks.</summary>
    public EquatableArray<DiagnosticInfo> ToArray() =>
        new([.. _items.OrderBy(static d => d.Start).ThenBy(static d => d.Id, StringComparer.Ordinal)]);
}
