using MicroVm.Generators.Common;
using MicroVm.Generators.Registers.Model;
using MicroVm.Generators.Registers.Syntax;

namespace MicroVm.Generators.Registers.Parse;

/// <summary>Bit fields below a register, several to a line: <c>BIT Name</c> or <c>LOW:HIGH Name</c>, then <c>ro</c>, then <c>= N</c>.</summary>
internal static class FieldParser
{
    public static EquatableArray<FieldModel> Parse(List<SourceLine> lines, DiagnosticBag diagnostics)
    {
        var fields = new List<FieldModel>();
        foreach (SourceLine line in lines)
        {
            var cursor = new Cursor(line, diagnostics);
            while (!cursor.AtEnd && One(cursor) is { } field) fields.Add(field);
            foreach (SourceLine deeper in line.Children) new Cursor(deeper, diagnostics).Fail("no deeper nesting below bit fields");
        }
        return fields.ToEquatable();
    }

    private static FieldModel? One(Cursor cursor)
    {
        Token first = cursor.Current;
        if (!cursor.Small("a bit number", out int low)) return null;
        int high = low;
        if (cursor.Accept(":") && !cursor.Small("the field's highest bit", out high)) return null;
        if (high < low)
        {
            cursor.FailAt(first, "LOW:HIGH with the lower bit first");
            return null;
        }
        if (!cursor.Name("the field's name", out Name name)) return null;
        bool readOnly = cursor.Accept("ro");
        ulong? value = null;
        if (cursor.Accept("="))
        {
            if (!cursor.Number("the value that the name stands for", out Token number)) return null;
            value = number.Value;
        }
        return new FieldModel(name, low, high, readOnly, value);
    }
}
