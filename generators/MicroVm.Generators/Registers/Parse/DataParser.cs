using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary><c>struct</c>, <c>flags</c>, <c>enum</c>, <c>consts</c> and <c>device</c>.</summary>
internal static class DataParser
{
    public static StructModel? Struct(Cursor header, DiagnosticBag diagnostics)
    {
        if (!header.Name("the structure's name", out Name name)) return null;
        bool good = header.Expect("size") & header.Small("the structure's size in bytes", out int size);
        if (good) header.End();
        var members = Rows(header, diagnostics, Member);
        return new StructModel(name, header.Line.Above, size, members.ToEquatable());
    }

    public static EnumModel? Enum(Cursor header, bool flags, DiagnosticBag diagnostics)
    {
        if (!header.Name(flags ? "the flags' name" : "the enum's name", out Name name)) return null;
        if (RegisterParser.Type(header, "u8, u16, u32 or u64", out int width)) header.End();
        var values = Rows<ValueModel>(header, diagnostics, flags ? BitRow : ValueRow);
        return new EnumModel(name, header.Line.Above, flags, width == 0 ? 4 : width, values.ToEquatable());
    }

    public static ConstsModel? Consts(Cursor header, DiagnosticBag diagnostics)
    {
        if (!header.Name("the constants' name", out Name name)) return null;
        header.End();
        return new ConstsModel(name, header.Line.Above, Rows(header, diagnostics, ConstRow).ToEquatable());
    }

    public static DeviceModel? Device(Cursor header, DiagnosticBag diagnostics)
    {
        if (!header.Name("the device's name", out Name name)) return null;
        bool good = header.Expect("id") & header.Small("the device's id", out int id);
        Name? shares = null;
        if (good && header.Accept("shares")) good = header.Name("the block that the device shares", out shares);
        if (good) header.End();
        var queues = new List<QueueModel>();
        var features = new List<ValueModel>();
        foreach (SourceLine line in header.Line.Children)
        {
            var cursor = new Cursor(line, diagnostics);
            if (cursor.Accept("queue")) Add(queues, Queue(cursor));
            else if (cursor.Accept("feature")) Add(features, BitRow(cursor));
            else cursor.Fail("'queue' or 'feature'");
        }
        return new DeviceModel(name, header.Line.Above, (uint)id, shares, queues.ToEquatable(), features.ToEquatable());
    }

    private static List<T> Rows<T>(Cursor header, DiagnosticBag diagnostics, Func<Cursor, T?> row) where T : class
    {
        var rows = new List<T>();
        foreach (SourceLine line in header.Line.Children)
        {
            Add(rows, row(new Cursor(line, diagnostics)));
            foreach (SourceLine deeper in line.Children) new Cursor(deeper, diagnostics).Fail("no deeper nesting here");
        }
        return rows;
    }

    private static void Add<T>(List<T> list, T? item) where T : class
    {
        if (item is not null) list.Add(item);
    }

    private static MemberModel? Member(Cursor cursor)
    {
        Token at = cursor.Current;
        if (!cursor.Small("an offset", out int offset) || !cursor.Name("the member's name", out Name name)) return null;
        if (!RegisterParser.Type(cursor, "u8, u16, u32 or u64", out int width)) return null;
        int count = 0;
        if (cursor.Accept("["))
        {
            Token number = cursor.Current;
            if (!cursor.Small("the number of elements", out count)) return null;
            if (count is 0 or > 0x10000)
            {
                cursor.FailAt(number, "1 to 65536 elements");
                return null;
            }
            if (!cursor.Expect("]")) return null;
        }
        return cursor.End() ? new MemberModel(name, offset, at.Pos, width, count, cursor.Line.Comment) : null;
    }

    private static ValueModel? BitRow(Cursor cursor) => NumberRow(cursor, "a bit number");

    private static ValueModel? ValueRow(Cursor cursor) => NumberRow(cursor, "a value");

    private static ValueModel? NumberRow(Cursor cursor, string what)
    {
        if (!cursor.Number(what, out Token value) || !cursor.Name("a name", out Name name)) return null;
        return cursor.End() ? new ValueModel(name, value.Value, value.Pos, cursor.Line.Comment) : null;
    }

    private static ValueModel? ConstRow(Cursor cursor)
    {
        if (!cursor.Name("a name", out Name name) || !cursor.Expect("=")) return null;
        if (!cursor.Number("the constant's value", out Token value)) return null;
        return cursor.End() ? new ValueModel(name, value.Value, value.Pos, cursor.Line.Comment) : null;
    }

    private static QueueModel? Queue(Cursor cursor)
    {
        if (!cursor.Name("the queue's name", out Name name)) return null;
        Token at = cursor.Current;
        if (!cursor.Small("the queue's largest size", out int size)) return null;
        if (size is 0 or > 32768 || (size & (size - 1)) != 0)
        {
            cursor.FailAt(at, "a power of 2 from 1 to 32768");
            return null;
        }
        return cursor.End() ? new QueueModel(name, size, at.Pos, cursor.Line.Comment) : null;
    }
}
