using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary><c>block Name size N [snapshot "tag" V [hidden]]</c> and what is nested below it.</summary>
internal static class BlockParser
{
    public static BlockModel? Parse(Cursor header, string file, DiagnosticBag diagnostics)
    {
        if (!header.Name("the block's name", out Name name)) return null;
        bool good = header.Expect("size") & header.Small("the block's size in bytes", out int size);
        SnapshotClause? snapshot = good && header.Current.Is("snapshot") ? Snapshot(header) : null;
        if (good && snapshot is null) header.End();

        AccessLine? access = null;
        var banks = new List<BankModel>();
        var registers = new List<RegisterModel>();
        foreach (SourceLine line in header.Line.Children)
        {
            var cursor = new Cursor(line, diagnostics);
            if (cursor.Accept("access")) access = Access(cursor, size) ?? access;
            else if (cursor.Accept("bank")) Add(banks, Bank(cursor));
            else Add(registers, RegisterParser.Parse(cursor, diagnostics));
        }
        if (access is null) diagnostics.Add("MVG020", name.Pos, "a line 'access 1', 'access 4', 'access natural' or 'access any' in the block", "none");
        return new BlockModel(
            name, file, header.Line.Above, size, snapshot, access ?? new AccessLine(WidthRule.Natural, 0, size, false),
            banks.ToEquatable(), registers.ToEquatable());
    }

    private static void Add<T>(List<T> list, T? item) where T : class
    {
        if (item is not null) list.Add(item);
    }

    private static SnapshotClause? Snapshot(Cursor cursor)
    {
        Pos pos = cursor.Next().Pos;
        if (!cursor.Text("the snapshot's tag in quotes", out Token tag)) return null;
        if (!cursor.Small("the snapshot's version", out int version)) return null;
        bool hidden = cursor.Accept("hidden");
        return cursor.End() ? new SnapshotClause(tag.Text, version, hidden, pos) : null;
    }

    private static AccessLine? Access(Cursor cursor, int size)
    {
        var rule = WidthRule.Exact;
        int width = 0;
        if (cursor.Accept("natural")) rule = WidthRule.Natural;
        else if (cursor.Accept("any")) rule = WidthRule.Any;
        else
        {
            Token token = cursor.Current;
            if (!cursor.Small("1, 2, 4, 8, natural or any", out width)) return null;
            if (width is not (1 or 2 or 4 or 8))
            {
                cursor.FailAt(token, "1, 2, 4, 8, natural or any");
                return null;
            }
        }
        int below = size;
        if (cursor.Accept("below") && !cursor.Small("the first offset that follows another rule", out below)) return null;
        bool zero = false;
        if (cursor.Accept(","))
        {
            if (!Phrase(cursor, "any", "other", ":", "read")) return null;
            if (!cursor.Number("0", out Token zeroToken)) return null;
            if (zeroToken.Value != 0 && !cursor.FailAt(zeroToken, "0")) return null;
            if (!Phrase(cursor, ",", "write", "ignored")) return null;
            zero = true;
        }
        return cursor.End() ? new AccessLine(rule, width, below, zero) : null;
    }

    private static bool Phrase(Cursor cursor, params string[] words)
    {
        foreach (string word in words)
        {
            if (!cursor.Expect(word)) return false;
        }
        return true;
    }

    private static BankModel? Bank(Cursor cursor)
    {
        if (!cursor.Name("the bank's name", out Name name) || !cursor.Expect("[")) return null;
        if (!cursor.Name("the register that selects the index", out Name selector) || !cursor.Expect("]")) return null;
        return cursor.End() ? new BankModel(name, selector) : null;
    }
}
