using MicroVm.Generators.Common;

namespace MicroVm.Generators.Acpi;

/// <summary>A register or bit field as ASL needs it: where it is and what reading it does. Offsets and widths in bits.</summary>
internal sealed record RegisterLayout(string Name, uint BitOffset, uint BitWidth, bool ReadClears, bool Stored);

/// <summary>A block that AML can name in <c>Registers</c>. <paramref name="AccessBytes"/> is 0 where any width is legal.</summary>
internal sealed record BlockLayout(string Name, uint Size, uint AccessBytes, EquatableArray<RegisterLayout> Registers);

/// <summary>A constant of a <c>consts</c> block: <c>Block.Name</c>.</summary>
internal sealed record ConstantLayout(string Name, ulong Value);

/// <summary>A stretch of the machine's address space. Until merged, a place of one block ends where it starts.</summary>
internal sealed record MapRange(bool Io, ulong Start, ulong End, string Block);

/// <summary>What <c>acpi.def</c> takes from <c>devices.def</c>: the seam to the parser of register definitions.</summary>
internal sealed record RegisterLayouts(EquatableArray<BlockLayout> Blocks, EquatableArray<ConstantLayout> Constants, EquatableArray<MapRange> Map)
{
    public static readonly RegisterLayouts None = new(new([]), new([]), new([]));

    public BlockLayout? Block(string name) => Blocks.FirstOrDefault(b => b.Name == name);

    public ulong? Constant(string name) => Constants.FirstOrDefault(c => c.Name == name)?.Value;

    public static RegisterLayouts Merge(IEnumerable<RegisterLayouts> parts)
    {
        RegisterLayouts[] all = [.. parts];
        BlockLayout[] blocks = [.. all.SelectMany(static p => p.Blocks)];
        return new(
            new(blocks),
            new([.. all.SelectMany(static p => p.Constants)]),
            new([.. all.SelectMany(static p => p.Map).Select(r => r.End > r.Start ? r : r with { End = r.Start + SizeOf(r.Block) })]));

        ulong SizeOf(string name) => blocks.FirstOrDefault(b => b.Name == name)?.Size ?? 1;
    }
}
