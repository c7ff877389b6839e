using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary><c>OFFSET Name[COUNT stride S] TYPE ACCESS [= RESET] [words] [when GUARD]  # documentation</c>, with bit fields or index rows below.</summary>
internal static class RegisterParser
{
    /// <summary>Null where not even offset and name could be read; otherwise what could be read, so that other lines may name it.</summary>
    public static RegisterModel? Parse(Cursor cursor, DiagnosticBag diagnostics) => Parse(cursor, rowWidth: 0, diagnostics);

    private static RegisterModel? Parse(Cursor cursor, int rowWidth, DiagnosticBag diagnostics)
    {
        Token offset = cursor.Current;
        string what = rowWidth > 0 ? "an index" : "an offset, 'access' or 'bank'";
        if (!cursor.Small(what, out int at) || !cursor.Name("the register's name", out Name name)) return null;
        var register = new RegisterModel
        {
            Name = name, Offset = at, OffsetPos = offset.Pos, Text = cursor.Line.Text, Doc = cursor.Line.Comment, Width = rowWidth,
        };
        bool good = Array(cursor, ref register) && Kind(cursor, rowWidth, ref register) && cursor.End();
        return Nested(cursor.Line, good, register with { Broken = !good }, diagnostics);
    }

    private static RegisterModel Nested(SourceLine line, bool good, RegisterModel register, DiagnosticBag diagnostics)
    {
        if (register.IndexedBy is null) return register with { Fields = FieldParser.Parse(line.Children, diagnostics) };
        var rows = new List<RegisterModel>();
        foreach (SourceLine child in line.Children)
        {
            RegisterModel? row = Parse(new Cursor(child, diagnostics), good ? register.Width : 4, diagnostics);
            if (row is not null) rows.Add(row);
        }
        return register with { Rows = rows.ToEquatable() };
    }

    private static bool Array(Cursor cursor, ref RegisterModel register)
    {
        if (!cursor.Accept("[")) return true;
        Token count = cursor.Current;
        if (!cursor.Small("the number of elements", out int elements) || !cursor.Expect("stride")) return false;
        if (elements is 0 or > 4096) return cursor.FailAt(count, "1 to 4096 elements");
        Token distance = cursor.Current;
        if (!cursor.Small("the distance of two elements", out int stride)) return false;
        if (stride is 0 or > 0x10_0000) return cursor.FailAt(distance, "a distance of 1 to 0x100000");
        register = register with { Count = elements, Stride = stride };
        return cursor.Expect("]");
    }

    private static bool Kind(Cursor cursor, int rowWidth, ref RegisterModel register)
    {
        if (rowWidth > 0) return GuestAccess(cursor, ref register) && WordParser.Parse(cursor, ref register);
        if (cursor.Current.Is("indexed")) return Pair(cursor, ref register);
        if (cursor.Current.Is("window"))
        {
            cursor.Next();
            Token length = cursor.Current;
            if (!cursor.Small("the window's length in bytes", out int window)) return false;
            if (window == 0) return cursor.FailAt(length, "a length of at least 1");
            register = register with { Window = window };
            return WordParser.Parse(cursor, ref register);
        }
        if (!Type(cursor, "u8, u16, u32, u64, 'indexed by' or 'window'", out int width)) return false;
        register = register with { Width = width };
        return GuestAccess(cursor, ref register) && WordParser.Parse(cursor, ref register);
    }

    private static bool Pair(Cursor cursor, ref RegisterModel register)
    {
        cursor.Next();
        if (!cursor.Expect("by") || !cursor.Name("the register that selects the index", out Name selector)) return false;
        register = register with { IndexedBy = selector, Width = 4 };
        if (!cursor.Expect("of") || !Type(cursor, "u8, u16, u32 or u64", out int width)) return false;
        register = register with { Width = width };
        return true;
    }

    public static bool Type(Cursor cursor, string expected, out int width)
    {
        width = cursor.Current.Text switch { "u8" => 1, "u16" => 2, "u32" => 4, "u64" => 8, _ => 0 };
        if (width == 0 || cursor.Current.Kind != TokenKind.Word) return cursor.Fail(expected);
        cursor.Next();
        return true;
    }

    private static bool GuestAccess(Cursor cursor, ref RegisterModel register)
    {
        Access access;
        switch (cursor.Current.Kind == TokenKind.Word ? cursor.Current.Text : "")
        {
            case "ro": access = Access.ReadOnly; break;
            case "rw": access = Access.ReadWrite; break;
            case "wo": access = Access.WriteOnly; break;
            case "w1c": access = Access.WriteOneToClear; break;
            case "rc": access = Access.ReadToClear; break;
            default: return cursor.Fail("ro, rw, wo, w1c or rc");
        }
        cursor.Next();
        register = register with { Access = access };
        bool named = access == Access.WriteOneToClear && cursor.Current.Kind == TokenKind.Word && cursor.Current.Text[0] is >= 'A' and <= 'Z';
        if (!named) return true;
        if (!cursor.Path("the register that is cleared", out DottedName target)) return false;
        register = register with { Target = target };
        return true;
    }
}
