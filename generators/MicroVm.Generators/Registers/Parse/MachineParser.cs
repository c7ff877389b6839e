using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary><c>machine Name</c> with its <c>range</c> and <c>place</c> lines.</summary>
internal static class MachineParser
{
    public static MachineModel? Parse(Cursor header, DiagnosticBag diagnostics)
    {
        if (!header.Name("the machine's name", out Name name)) return null;
        header.End();
        var ranges = new List<RangeModel>();
        var places = new List<PlaceModel>();
        foreach (SourceLine line in header.Line.Children)
        {
            var cursor = new Cursor(line, diagnostics);
            if (cursor.Accept("range"))
            {
                if (Range(cursor) is { } range) ranges.Add(range);
            }
            else if (cursor.Accept("place"))
            {
                if (Place(cursor) is { } place) places.Add(place);
            }
            else cursor.Fail("'range' or 'place'");
        }
        return new MachineModel(name, header.Line.Above, ranges.ToEquatable(), places.ToEquatable());
    }

    private static RangeModel? Range(Cursor cursor)
    {
        if (!cursor.Name("the range's name", out Name name)) return null;
        if (!cursor.Number("the first address", out Token start) || !cursor.Number("the address behind the last one", out Token end)) return null;
        if (end.Value <= start.Value)
        {
            cursor.FailAt(end, "an end above the start");
            return null;
        }
        bool ram = cursor.Accept("ram");
        return cursor.End() ? new RangeModel(name, start.Value, end.Value, ram, start.Pos, cursor.Line.Comment) : null;
    }

    private static PlaceModel? Place(Cursor cursor)
    {
        if (!cursor.Word("the place's name", out Token name)) return null;
        int count = 0;
        if (cursor.Accept("[") && !(cursor.Small("the number of blocks", out count) && cursor.Expect("]"))) return null;
        if (!cursor.Name("the block that is placed", out Name block)) return null;
        bool port = cursor.Accept("pio");
        if (!port && !cursor.Accept("mmio"))
        {
            cursor.Fail("'pio' or 'mmio'");
            return null;
        }
        if (!cursor.Number("the address", out Token address)) return null;
        ulong stride = 0;
        if (count > 0)
        {
            if (!cursor.Expect("stride") || !cursor.Number("the distance of two blocks", out Token distance)) return null;
            stride = distance.Value;
        }
        if (!Irqs(cursor, count, out int first, out int last, out Pos irqPos)) return null;
        string text = name.Text.Substring(0, 1).ToUpperInvariant() + name.Text.Substring(1);
        return cursor.End()
            ? new PlaceModel(new Name(text, name.Pos), block, port, address.Value, address.Pos, count, stride, first, last, irqPos, cursor.Line.Comment)
            : null;
    }

    private static bool Irqs(Cursor cursor, int count, out int first, out int last, out Pos pos)
    {
        (first, last, pos) = (-1, -1, default);
        if (cursor.AtEnd) return true;
        if (count == 0)
        {
            if (!cursor.Expect("irq")) return false;
            pos = cursor.Current.Pos;
            if (!cursor.Small("the interrupt line", out first)) return false;
            last = first;
            return true;
        }
        if (!cursor.Expect("irqs")) return false;
        Token start = cursor.Current;
        pos = start.Pos;
        if (!cursor.Small("the first interrupt line", out first) || !cursor.Expect("..")) return false;
        if (!cursor.Small("the last interrupt line", out last)) return false;
        return last - first == count - 1 || cursor.FailAt(start, $"{count} interrupt lines, one per block");
    }
}
