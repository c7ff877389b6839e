using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Parse;

namespace MicroVm.Generators.Acpi;

/// <summary>Takes from the model of a <c>.def</c> file the few facts that ACPI needs. Its errors are the register generator's to report.</summary>
internal static class RegisterLayoutReader
{
    public static RegisterLayouts Read(string text, CancellationToken cancel)
    {
        FileModel file = DefinitionParser.Parse("", "", text, cancel).Model;
        return new(
            new([.. file.Blocks.Select(Block)]),
            new([.. file.Consts.SelectMany(static c => c.Values.Select(v => new ConstantLayout($"{c.Name.Text}.{v.Name.Text}", v.Value)))]),
            new([.. file.Machines.SelectMany(static m => m.Ranges.Select(Range).Concat(m.Places.Select(Place)))]));
    }

    private static BlockLayout Block(BlockModel block) => new(
        block.Name.Text, (uint)block.Size, block.Access.Rule == WidthRule.Exact ? (uint)block.Access.Width : 0, new([.. block.Registers.SelectMany(Registers)]));

    /// <summary>The register, or each element of an array, and their bit fields. Windows and halves that are apart are not for AML.</summary>
    private static IEnumerable<RegisterLayout> Registers(RegisterModel register)
    {
        if (register.Broken || register.Width == 0 || register.Halves && register.HighOffset != register.Offset + 4) yield break;
        bool clears = register.Access == Access.ReadToClear || register.Take is not null;
        for (int i = 0; i < Math.Max(register.Count, 1); i++)
        {
            string name = register.IsArray ? $"{register.Name.Text}{i}" : register.Name.Text;
            uint first = (uint)(register.Offset + i * register.Stride) * 8;
            yield return new(name, first, (uint)register.Width * 8, clears, register.Access == Access.ReadWrite);
            foreach (FieldModel field in register.Fields)
            {
                if (field.Value is null && field.Low <= field.High && field.High < register.Width * 8)
                    yield return new($"{name}.{field.Name.Text}", first + (uint)field.Low, (uint)(field.High - field.Low + 1), clears, register.Access == Access.ReadWrite);
            }
        }
    }

    private static MapRange Range(RangeModel range) => new(false, range.Start, range.End, "");

    private static MapRange Place(PlaceModel place) =>
        new(place.Port, place.Address, place.Address + (ulong)place.Count * place.Stride, place.Block.Text);
}
