namespace MicroVm.Generators.Acpi;

/// <summary>One term of ASL. Operators in symbols and in words come out alike: <c>A + B</c> is <c>Add (A, B, )</c>.</summary>
/// <remarks>Never part of an incremental model: the compiler turns the tree into bytes in the same step.</remarks>
internal sealed class AslNode(string op, Token at)
{
    public const string Integer = "#int", Text = "#string", Name = "#name", Slot = "#slot", Call = "#call", FieldUnit = "#unit";

    /// <summary>An ASL keyword, or one of the constants of this class.</summary>
    public string Op { get; set; } = op;

    public Token At { get; set; } = at;

    /// <summary>Offset behind the last character.</summary>
    public int End { get; set; } = at.End;

    /// <summary>A name, string or slot's text.</summary>
    public string Value { get; init; } = at.Text;

    public ulong Number { get; init; } = at.Value;

    /// <summary>Arguments; null where one was left out.</summary>
    public List<AslNode?> Args { get; } = [];

    /// <summary>Terms in braces, or null without braces.</summary>
    public List<AslNode>? Body { get; set; }

    public AslNode? Arg(int index) => index < Args.Count ? Args[index] : null;

    public bool Is(string op) => Op == op;
}

/// <summary>A declared parameter: a value known at run time.</summary>
internal sealed record AslParam(string Name, int Bits, string Doc, Token At);

/// <summary>The file itself, or one <c>each</c> block in it.</summary>
internal sealed class AslUnit(UnitKind kind, string name, Token at)
{
    public UnitKind Kind { get; } = kind;

    /// <summary>Name of an <c>each</c> block.</summary>
    public string Name { get; } = name;

    public Token At { get; } = at;

    /// <summary>For a table: signature, OEM table id and revision.</summary>
    public string Signature { get; set; } = "";

    public string OemId { get; set; } = "";

    public string OemTableId { get; set; } = "";

    public uint OemRevision { get; set; }

    public List<AslParam> Params { get; } = [];

    public List<AslNode> Terms { get; set; } = [];

    /// <summary>Where the terms of an <c>each</c> block stand between its braces.</summary>
    public int BodyStart { get; set; }

    public int BodyEnd { get; set; }
}

internal sealed class AslFile
{
    public List<AslUnit> Units { get; } = [];

    /// <summary>Spans that are not plain ASL (table line, parameters, heads of <c>each</c>), for the expander.</summary>
    public List<(int Start, int End)> Extensions { get; } = [];
}

internal enum UnitKind : byte
{
    /// <summary>A table with its own header.</summary>
    Table,
    /// <summary>Root-pathed objects to append to a table once.</summary>
    Fragment,
    /// <summary>Root-pathed objects to append as often as there are devices.</summary>
    Each,
}
