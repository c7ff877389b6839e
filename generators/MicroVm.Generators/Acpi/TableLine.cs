namespace MicroVm.Generators.Acpi;

/// <summary>One line of a <c>.table</c> file: tokens, and the comment behind <c>#</c>.</summary>
internal sealed class TableLine
{
    private readonly int _start, _number, _end;

    public TableLine(string text, int start, int number)
    {
        (_start, _number) = (start, number);
        bool quoted = false;
        int at = 0;
        while (at < text.Length && (text[at] != '#' || quoted))
        {
            if (text[at++] == '"') quoted = !quoted;
        }
        Doc = at < text.Length ? text.Substring(at + 1).Trim() : "";
        string code = text.Substring(0, at).TrimEnd();
        _end = code.Length;
        (List<Token> tokens, _) = Lexer.Read(code, CancellationToken.None);
        tokens.RemoveAt(tokens.Count - 1);
        Tokens = [.. tokens.Select(t => t with { Start = t.Start + start, Line = number })];
    }

    public List<Token> Tokens { get; }

    public string Doc { get; }

    /// <summary>Reports what was expected at token <paramref name="index"/>; throw the result to leave the line.</summary>
    public FormatException Fail(DiagnosticBag bag, int index, string expected)
    {
        bool there = index < Tokens.Count;
        Token at = there ? Tokens[index] : new Token(TokenKind.End, "end of line", 0, _start + _end, 0, _number, _end);
        string found = at.Kind is TokenKind.End or TokenKind.Bad ? at.Text : $"'{at.Text}'";
        bag.Report(AcpiDiagnostics.Syntax, at, $"expected {expected}, found {found}");
        return new FormatException();
    }

    public bool Is(int index, string text) => index < Tokens.Count && Tokens[index].Kind is TokenKind.Name or TokenKind.Punctuation && Tokens[index].Text == text;

    public Token Expect(DiagnosticBag bag, int index, TokenKind kind, string expected) =>
        index < Tokens.Count && Tokens[index].Kind == kind ? Tokens[index] : throw Fail(bag, index, expected);

    public void Word(DiagnosticBag bag, int index, string word)
    {
        if (!Is(index, word)) throw Fail(bag, index, $"'{word}'");
    }

    public void Sign(DiagnosticBag bag, int index, string sign, string expected)
    {
        if (!Is(index, sign)) throw Fail(bag, index, expected);
    }

    public ulong Number(DiagnosticBag bag, int index, ulong max)
    {
        Token token = Expect(bag, index, TokenKind.Number, $"a number of at most {max}");
        return token.Value <= max ? token.Value : throw Fail(bag, index, $"a number of at most {max}");
    }

    public void End(DiagnosticBag bag, int index)
    {
        if (index < Tokens.Count) throw Fail(bag, index, "the end of the line");
    }
}
