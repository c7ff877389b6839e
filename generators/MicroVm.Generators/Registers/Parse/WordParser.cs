using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary>The words after a register's access, in any order, each at most once.</summary>
internal static class WordParser
{
    private const string Words = "=, mask, from, take, into, then, via, atomic, resident, doorbell, halves, secret, when, or the end of the line";

    public static bool Parse(Cursor cursor, ref RegisterModel register)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (!cursor.AtEnd)
        {
            Token word = cursor.Next();
            if (!seen.Add(word.Text)) return cursor.FailAt(word, "each word once");
            if (!Word(word, cursor, ref register)) return false;
        }
        return true;
    }

    private static bool Word(Token word, Cursor cursor, ref RegisterModel register)
    {
        switch (word.Kind is TokenKind.Word or TokenKind.Symbol ? word.Text : "")
        {
            case "=": return Reset(cursor, ref register);
            case "mask": return Mask(cursor, ref register);
            case "halves": return Halves(word, cursor, ref register);
            case "doorbell": return Doorbell(word, cursor, ref register);
            case "when": return Guard(cursor, ref register);
            case "atomic": register = register with { Atomic = true }; return true;
            case "secret": register = register with { Secret = true }; return true;
            case "resident": register = register with { Resident = true, ResidentPos = word.Pos }; return true;
            case "from" or "take" or "into" or "then" or "via": return Hook(word.Text, cursor, ref register);
            default: return cursor.FailAt(word, Words);
        }
    }

    private static bool Hook(string word, Cursor cursor, ref RegisterModel register)
    {
        if (word is "from" or "into")
        {
            if (!cursor.Path(word == "from" ? "a hook, or a bank's field" : "a bank's field", out DottedName path)) return false;
            if (word == "into" && path.Owner is null) return cursor.Fail("'.' and the bank's field");
            register = word == "from" ? register with { From = path } : register with { Into = path };
            return true;
        }
        if (!cursor.Name("a hook's name", out Name name)) return false;
        register = word switch
        {
            "take" => register with { Take = name },
            "then" => register with { Then = name },
            _ => register with { Via = name },
        };
        return true;
    }

    private static bool Reset(Cursor cursor, ref RegisterModel register)
    {
        if (!cursor.Number("the value after reset", out Token number)) return false;
        register = register with { Reset = number.Value, ResetPos = number.Pos };
        return true;
    }

    private static bool Mask(Cursor cursor, ref RegisterModel register)
    {
        if (!cursor.Number("the bits that a write can change", out Token number)) return false;
        register = register with { Mask = number.Value, MaskPos = number.Pos };
        return true;
    }

    private static bool Halves(Token word, Cursor cursor, ref RegisterModel register)
    {
        Token low = cursor.Current;
        if (!cursor.Small("the offset of the low half", out int first)) return false;
        if (!cursor.Small("the offset of the high half", out int second)) return false;
        register = register with { Halves = true, HighOffset = second, HalvesPos = word.Pos };
        return first == register.Offset || cursor.FailAt(low, "the register's own offset as the low half");
    }

    private static bool Doorbell(Token word, Cursor cursor, ref RegisterModel register)
    {
        register = register with { Doorbell = true, DoorbellPos = word.Pos };
        if (!cursor.Accept("match")) return true;
        if (!cursor.Number("the value that rings the doorbell", out Token match)) return false;
        register = register with { DoorbellMatch = match.Value };
        return true;
    }

    private static bool Guard(Cursor cursor, ref RegisterModel register)
    {
        var terms = new List<GuardTerm>();
        do
        {
            bool not = cursor.Accept("not");
            if (!cursor.Path("a one-bit field", out DottedName field)) return false;
            terms.Add(new GuardTerm(not, field));
        }
        while (cursor.Accept("and"));
        register = register with { Guard = terms.ToEquatable() };
        return true;
    }
}
