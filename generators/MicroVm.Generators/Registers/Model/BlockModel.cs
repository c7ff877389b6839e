using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Model;

internal enum Access : byte { ReadOnly, ReadWrite, WriteOnly, WriteOneToClear, ReadToClear }

internal enum WidthRule : byte { Exact, Natural, Any }

/// <summary>The <c>access</c> line. <see cref="Below"/> is the first offset to which it no longer applies.</summary>
internal sealed record AccessLine(WidthRule Rule, int Width, int Below, bool ZeroOnBadWidth);

/// <summary>The <c>snapshot</c> clause.</summary>
internal sealed record SnapshotClause(string Tag, int Version, bool Hidden, Pos Pos);

/// <summary>Per-index state and the register that selects the index.</summary>
internal sealed record BankModel(Name Name, Name Selector);

/// <summary>Bits of a register; with <see cref="Value"/>, one named value of these bits.</summary>
internal sealed record FieldModel(Name Name, int Low, int High, bool ReadOnly, ulong? Value)
{
    public ulong Mask => (High - Low >= 63 ? ulong.MaxValue : (1ul << (High - Low + 1)) - 1) << Low;

    public bool IsBit => Low == High && Value is null;
}

/// <summary>One term of a guard.</summary>
internal sealed record GuardTerm(bool Not, DottedName Field);

/// <summary>One register, or one raw window, as the line says it.</summary>
internal sealed record RegisterModel
{
    public Name Name { get; init; } = new("", default);

    /// <summary>The line without comment, for the comments of the emitted code.</summary>
    public string Text { get; init; } = "";
    public string Doc { get; init; } = "";
    public int Offset { get; init; }
    public Pos OffsetPos { get; init; }

    /// <summary>The line could not be read to its end, so that only its name and place mean something.</summary>
    public bool Broken { get; init; }

    /// <summary>Bytes; 0 for a window and for an index/data pair's data register until it is known.</summary>
    public int Width { get; init; }
    public Access Access { get; init; } = Access.ReadWrite;

    /// <summary>0 for a plain register.</summary>
    public int Count { get; init; }
    public int Stride { get; init; }
    public ulong Reset { get; init; }
    public Pos ResetPos { get; init; }
    public ulong? Mask { get; init; }
    public Pos MaskPos { get; init; }
    public DottedName? From { get; init; }
    public Name? Take { get; init; }
    public DottedName? Into { get; init; }
    public Name? Then { get; init; }
    public Name? Via { get; init; }
    public DottedName? Target { get; init; }
    public bool Atomic { get; init; }
    public bool Resident { get; init; }
    public Pos ResidentPos { get; init; }
    public bool Secret { get; init; }
    public bool Doorbell { get; init; }
    public ulong? DoorbellMatch { get; init; }
    public Pos DoorbellPos { get; init; }
    public bool Halves { get; init; }
    public int HighOffset { get; init; }
    public Pos HalvesPos { get; init; }
    public EquatableArray<GuardTerm> Guard { get; init; }
    public EquatableArray<FieldModel> Fields { get; init; }

    /// <summary>Bytes of a window; 0 for a register.</summary>
    public int Window { get; init; }

    /// <summary>Selector of an index/data pair, where this is the data register.</summary>
    public Name? IndexedBy { get; init; }
    public EquatableArray<RegisterModel> Rows { get; init; }

    public bool IsArray => Count > 0;
    public bool IsWindow => Window > 0;
    public bool IsPair => IndexedBy is not null;
    public int Row => Name.Pos.Row;
}

/// <summary>One block of registers.</summary>
internal sealed record BlockModel(
    Name Name, string File, string Doc, int Size, SnapshotClause? Snapshot, AccessLine Access,
    EquatableArray<BankModel> Banks, EquatableArray<RegisterModel> Registers);
