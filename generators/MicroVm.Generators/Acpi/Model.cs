using MicroVm.Generators.Common;

namespace MicroVm.Generators.Acpi;

/// <summary>A parameter of emitted code.</summary>
internal sealed record ParamModel(string Name, int Bits, string Doc)
{
    public string Type => Bits switch { <= 8 => "byte", <= 16 => "ushort", <= 32 => "uint", _ => "ulong" };
}

/// <summary>Bytes that are filled in at run time: little-endian, or as hexadecimal digits of a name.</summary>
internal sealed record SlotModel(int Offset, int Width, bool HexDigits, string Param, int Line);

/// <summary>From this offset on the bytes are what this line says.</summary>
internal sealed record MarkModel(int Offset, int Line, string Text);

/// <summary>A named object and where it begins. <paramref name="Path"/> may hold slots, as the declaration does.</summary>
internal sealed record ObjectModel(int Offset, int Line, string Kind, string Path);

/// <summary>A table or fragment, compiled. <paramref name="Name"/> is empty for the file's own.</summary>
internal sealed record UnitModel(
    UnitKind Kind, string Name, EquatableArray<byte> Bytes, EquatableArray<SlotModel> Slots, EquatableArray<MarkModel> Marks, EquatableArray<ParamModel> Params, EquatableArray<ObjectModel> Objects);

/// <summary>One <c>.asl</c> file, compiled. <paramref name="File"/> is relative to the repository.</summary>
internal sealed record AslModel(string File, string ClassName, EquatableArray<UnitModel> Units);

/// <summary>What compiling a file gives.</summary>
internal sealed record AslResult(AslModel Model, EquatableArray<DiagnosticInfo> Diagnostics);
