namespace MicroVm.Generators.Registers.Syntax;

/// <summary>Walks over the tokens of one line. Every <c>Expect</c> reports what it wanted and what it found; the caller then gives the line up.</summary>
internal sealed class Cursor(SourceLine line, DiagnosticBag diagnostics)
{
    private int _at;

    public SourceLine Line { get; } = line;

    public Token Current => Line.Tokens[_at];

    public bool AtEnd => Current.Kind == TokenKind.End;

    public Token Next()
    {
        Token token = Current;
        if (token.Kind != TokenKind.End) _at++;
        return token;
    }

    public bool Accept(string text)
    {
        if (!Current.Is(text)) return false;
        _at++;
        return true;
    }

    public bool Expect(string text) => Accept(text) || Fail("'" + text + "'");

    public bool Number(string what, out Token number) => Take(TokenKind.Number, what, out number);

    public bool Text(string what, out Token token) => Take(TokenKind.Text, what, out token);

    public bool Word(string what, out Token token) => Take(TokenKind.Word, what, out token);

    /// <summary>A number that fits an <see cref="int"/>, because offsets, counts and lengths are kept as such.</summary>
    public bool Small(string what, out int value)
    {
        value = 0;
        Token token = Current;
        if (!Number(what, out _)) return false;
        if (token.Value > int.MaxValue) return FailAt(token, what + " below 0x80000000");
        value = (int)token.Value;
        return true;
    }

    /// <summary>A name that is declared or called: with a capital first, so that it is a legal C# name and no keyword.</summary>
    public bool Name(string what, out Name name)
    {
        Token token = Current;
        name = new Name(token.Text, token.Pos);
        if (token.Kind != TokenKind.Word) return Fail(what);
        if (token.Text[0] is < 'A' or > 'Z') return FailAt(token, what + " that starts with a capital");
        _at++;
        return true;
    }

    /// <summary><c>Member</c> or <c>Owner.Member</c>.</summary>
    public bool Path(string what, out DottedName path)
    {
        path = new DottedName(null, new Name("", default));
        if (!Name(what, out Name first)) return false;
        path = new DottedName(null, first);
        if (!Accept(".")) return true;
        if (!Name("a field of '" + first.Text + "'", out Name member)) return false;
        path = new DottedName(first, member);
        return true;
    }

    public bool End() => AtEnd || Fail("the end of the line");

    public bool Fail(string expected) => FailAt(Current, expected);

    public bool FailAt(Token token, string expected)
    {
        diagnostics.Add("MVG020", token.Pos, expected, token.Shown);
        return false;
    }

    private bool Take(TokenKind kind, string what, out Token token)
    {
        token = Current;
        if (token.Kind != kind) return Fail(what);
        _at++;
        return true;
    }
}
