using MicroVm.Generators.Common;

namespace MicroVm.Generators.Acpi;

internal enum LayoutKind : byte
{
    /// <summary>Begins with the system description table header.</summary>
    Table,
    /// <summary>Repeated behind a table.</summary>
    Entry,
    /// <summary>Has no header (RSDP).</summary>
    Layout,
}

internal enum FieldKind : byte { Value, Text, Param, Sum, Address }

/// <summary>A named bit of a flags field.</summary>
internal sealed record TableFlag(int Bit, string Name, string Doc);

/// <summary>One field. <paramref name="Bytes"/> is what the template holds; a generic address has its address as parameter.</summary>
internal sealed record TableField(
    FieldKind Kind, string Name, int Offset, int Width, EquatableArray<byte> Bytes, int SumStart, int SumLength, EquatableArray<TableFlag> Flags, string Doc, int Line);

/// <summary>One layout with its fields in the order of their offsets.</summary>
internal sealed record TableLayout(LayoutKind Kind, string Name, string Signature, string Doc, int Size, int Line, EquatableArray<TableField> Fields);

/// <summary>One <c>.table</c> file: a table or layout, and the entries that follow it.</summary>
internal sealed record TableFileModel(string File, EquatableArray<TableLayout> Layouts);

internal sealed record TableResult(TableFileModel Model, EquatableArray<DiagnosticInfo> Diagnostics);
