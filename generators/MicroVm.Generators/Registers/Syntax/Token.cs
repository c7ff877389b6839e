namespace MicroVm.Generators.Registers.Syntax;

/// <summary>Where a token stands. Everything counts from 0, as Roslyn does.</summary>
internal readonly record struct Pos(int Start, int Length, int Line, int Column)
{
    /// <summary>The line as people count it, for comments and <c>#line</c>.</summary>
    public int Row => Line + 1;
}

internal enum TokenKind : byte { Word, Number, Text, Symbol, End }

/// <summary>One token of a line. <see cref="Value"/> is meant for numbers only.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, ulong Value, Pos Pos)
{
    public bool Is(string text) => Kind is TokenKind.Word or TokenKind.Symbol && Text == text;

    /// <summary>The token as an error message names it.</summary>
    public string Shown => Kind switch
    {
        TokenKind.End => "the end of the line",
        TokenKind.Text => "\"" + Text + "\"",
        _ => "'" + Text + "'",
    };
}

/// <summary>One line with what is nested below it.</summary>
internal sealed class SourceLine(int indent, Token[] tokens, string comment, string text)
{
    public int Indent { get; } = indent;

    /// <summary>Tokens, the last one <see cref="TokenKind.End"/>.</summary>
    public Token[] Tokens { get; } = tokens;

    /// <summary>Text after <c>#</c>, without spaces around it.</summary>
    public string Comment { get; } = comment;

    /// <summary>The line without indentation, comment and trailing spaces.</summary>
    public string Text { get; } = text;

    /// <summary>Comment lines directly above.</summary>
    public string Above { get; set; } = "";

    public List<SourceLine> Children { get; } = [];

    public Token First => Tokens[0];
}
