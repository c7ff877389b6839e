using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using static MicroVm.Generators.Common.CodeWriter;

namespace MicroVm.Generators.Registers.Emit;

/// <summary>The map of a machine: constants, and a list for those who go over all places.</summary>
internal static class MachineEmitter
{
    public static void Emit(CodeWriter w, MachineModel model, IReadOnlyDictionary<string, int> sizes)
    {
        w.Summary(model.Doc.Length == 0 ? model.Name.Text + ": what stands where" : BlockEmitter.Headline(model.Doc));
        w.Open("public static class " + model.Name.Text);
        foreach (RangeModel range in model.Ranges) Range(w, range);
        foreach (PlaceModel place in model.Places) Place(w, place, Size(sizes, place));
        w.Line("/// <summary>A placed block. <paramref name=\"FirstIrq\"/> is -1 where it has no interrupt line.</summary>");
        w.Line("public readonly record struct Placement(string Name, string Block, bool Port, ulong Base, ulong Size, ulong Stride, int Count, int FirstIrq);");
        w.Line();
        w.Line("/// <summary>All places, in the order of the file.</summary>");
        w.Line("public static ReadOnlySpan<Placement> Places => Lazily.Places;");
        w.Line();
        w.Open("private static class Lazily");
        w.Line("internal static readonly Placement[] Places =");
        w.Line("[");
        w.Indent();
        foreach (PlaceModel p in model.Places)
        {
            string[] values =
            [
                Quote(p.Name.Text), Quote(p.Block.Text), p.Port ? "true" : "false", Hex(p.Address), Hex((ulong)Size(sizes, p)), Hex(p.Stride),
                Number(Math.Max(p.Count, 1)), Number(p.FirstIrq),
            ];
            w.Line("new(" + string.Join(", ", values) + "),");
        }
        w.Outdent();
        w.Line("];");
        w.Close();
        w.Close();
    }

    private static int Size(IReadOnlyDictionary<string, int> sizes, PlaceModel place) => sizes.TryGetValue(place.Block.Text, out int size) ? size : 0;

    private static void Range(CodeWriter w, RangeModel range)
    {
        w.Summary(range.Doc);
        w.Open("public static class " + range.Name.Text);
        w.Line("public const ulong Start = " + Hex(range.Start) + ";");
        w.Line("public const ulong End = " + Hex(range.End) + ";");
        w.Line("public const ulong Length = " + Hex(range.End - range.Start) + ";");
        w.Close();
        w.Line();
    }

    private static void Place(CodeWriter w, PlaceModel place, int size)
    {
        w.Summary(place.Doc);
        w.Open("public static class " + place.Name.Text);
        w.Line("public const " + (place.Port ? "ushort" : "ulong") + " Base = " + Hex(place.Address) + ";");
        w.Line("public const uint Size = " + Hex((ulong)size) + ";");
        if (place.Count > 0)
        {
            w.Line("public const ulong Stride = " + Hex(place.Stride) + ";");
            w.Line("public const int Count = " + Number(place.Count) + ";");
        }
        if (place.FirstIrq >= 0) w.Line("public const int " + (place.Count > 0 ? "FirstIrq" : "Irq") + " = " + Number(place.FirstIrq) + ";");
        w.Close();
        w.Line();
    }
}
