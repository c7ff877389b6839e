using System.Globalization;
using System.Text;

namespace MicroVm.Generators.Acpi;

internal enum TokenKind : byte { End, Name, Number, String, Slot, Punctuation, Bad }

/// <summary>One token and where it stands. Lines and columns count from 0.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">A name's path, a string's content, a slot's name, the punctuation, or what was wrong.</param>
/// <param name="Value">A number's value.</param>
/// <param name="Start">Offset in the text.</param>
/// <param name="Length">Characters.</param>
/// <param name="Line">Line.</param>
/// <param name="Column">Column.</param>
internal readonly record struct Token(TokenKind Kind, string Text, ulong Value, int Start, int Length, int Line, int Column)
{
    public int End => Start + Length;

    public bool Is(string punctuation) => Kind == TokenKind.Punctuation && Text == punctuation;
}

/// <summary>Splits ASL into tokens. A path is one token, with its slots: <c>\_SB.VR${Index}</c>.</summary>
internal sealed class Lexer
{
    // Longest first: the first that matches is taken.
    private static readonly string[] Punctuation =
    [
        "<<=", ">>=", "<<", ">>", "==", "!=", "<=", ">=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
        "(", ")", "{", "}", "[", "]", ",", ":", "=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "<", ">",
    ];

    private readonly string _text;
    private readonly List<Token> _tokens = [];
    private readonly Dictionary<int, string> _comments = [];
    private int _at, _line, _lineStart;

    private Lexer(string text) => _text = text;

    /// <summary>Tokens (the last is <see cref="TokenKind.End"/>) and the <c>//</c> comments by line.</summary>
    public static (List<Token> Tokens, Dictionary<int, string> Comments) Read(string text, CancellationToken cancel)
    {
        var lexer = new Lexer(text);
        while (lexer.SkipBlank())
        {
            cancel.ThrowIfCancellationRequested();
            lexer.Next();
        }
        lexer.Add(TokenKind.End, "end of file", 0, lexer._at);
        return (lexer._tokens, lexer._comments);
    }

    private char Peek(int ahead = 0) => _at + ahead < _text.Length ? _text[_at + ahead] : '\0';

    private void Add(TokenKind kind, string text, ulong value, int start) =>
        _tokens.Add(new Token(kind, text, value, start, _at - start, _line, start - _lineStart));

    private bool SkipBlank()
    {
        while (_at < _text.Length)
        {
            char c = _text[_at];
            if (c == '\n') { _at++; _line++; _lineStart = _at; }
            else if (char.IsWhiteSpace(c)) _at++;
            else if (c == '/' && Peek(1) == '/') SkipLineComment();
            else if (c == '/' && Peek(1) == '*') SkipBlockComment();
            else return true;
        }
        return false;
    }

    private void SkipLineComment()
    {
        int end = _text.IndexOf('\n', _at);
        if (end < 0) end = _text.Length;
        _comments[_line] = _text.Substring(_at + 2, end - _at - 2).Trim();
        _at = end;
    }

    private void SkipBlockComment()
    {
        int end = _text.IndexOf("*/", _at + 2, StringComparison.Ordinal);
        end = end < 0 ? _text.Length : end + 2;
        for (; _at < end; _at++)
        {
            if (_text[_at] == '\n') { _line++; _lineStart = _at + 1; }
        }
    }

    private void Next()
    {
        char c = _text[_at];
        int start = _at;
        if (c is >= '0' and <= '9') ReadNumber();
        else if (c == '"') ReadString();
        else if (StartsPath(c)) ReadPath();
        else if (c == '$' && Peek(1) == '{') ReadSlot(start);
        else if (Punctuation.FirstOrDefault(p => string.CompareOrdinal(_text, start, p, 0, p.Length) == 0) is { } found)
        {
            _at += found.Length;
            Add(TokenKind.Punctuation, found, 0, start);
        }
        else
        {
            _at++;
            Add(TokenKind.Bad, $"character '{c}'", 0, start);
        }
    }

    private static bool IsLetter(char c) => c is >= 'A' and <= 'Z' or >= 'a' and <= 'z' or '_';

    private static bool IsWord(char c) => IsLetter(c) || c is >= '0' and <= '9';

    /// <summary><c>^</c> begins a path only where no operand stands before it; there it is "exclusive or".</summary>
    private bool StartsPath(char c)
    {
        if (IsLetter(c)) return true;
        if (c == '\\') return true;
        if (c != '^') return false;
        if (_tokens.Count > 0 && _tokens[_tokens.Count - 1] is var last && last.Line == _line
            && (last.Kind is TokenKind.Name or TokenKind.Number or TokenKind.Slot or TokenKind.String || last.Is(")") || last.Is("]"))) return false;
        // No more levels than a scope can have: the look ahead stays short, whatever the text.
        int ahead = 1;
        while (ahead < 64 && Peek(ahead) == '^') ahead++;
        return IsLetter(Peek(ahead));
    }

    private void ReadPath()
    {
        int start = _at;
        if (Peek() == '\\') _at++;
        while (Peek() == '^') _at++;
        while (true)
        {
            if (IsWord(Peek())) _at++;
            else if (Peek() == '$' && Peek(1) == '{' && SlotEnd() is var end and > 0) _at = end;
            else if (Peek() == '.' && (IsLetter(Peek(1)) || Peek(1) == '$')) _at++;
            else break;
        }
        Add(TokenKind.Name, _text.Substring(start, _at - start), 0, start);
    }

    /// <summary>The offset behind the slot that begins here, or -1.</summary>
    private int SlotEnd()
    {
        int end = _at + 2;
        while (end < _text.Length && (IsWord(_text[end]) || _text[end] == '.')) end++;
        return end < _text.Length && _text[end] == '}' && end > _at + 2 ? end + 1 : -1;
    }

    private void ReadSlot(int start)
    {
        int end = SlotEnd();
        if (end < 0)
        {
            _at += 2;
            Add(TokenKind.Bad, "slot without a name or '}'", 0, start);
            return;
        }
        _at = end;
        Add(TokenKind.Slot, _text.Substring(start + 2, end - start - 3), 0, start);
    }

    private void ReadNumber()
    {
        int start = _at;
        while (IsWord(Peek())) _at++;
        string word = _text.Substring(start, _at - start).Replace("_", "");
        bool hex = word.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool good = hex
            ? ulong.TryParse(word.Substring(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value)
            : ulong.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out value);
        // ASL reads a leading 0 as octal; nobody means it.
        if (good && !hex && word.Length > 1 && word[0] == '0') good = false;
        Add(good ? TokenKind.Number : TokenKind.Bad, good ? word : $"number '{word}'", value, start);
    }

    private void ReadString()
    {
        int start = _at++;
        var content = new StringBuilder();
        while (_at < _text.Length && _text[_at] is not ('"' or '\n' or '\\'))
        {
            content.Append(_text[_at++]);
        }
        bool good = Peek() == '"' && content.ToString().All(static c => c is >= ' ' and < (char)127);
        if (Peek() is '"' or '\\') _at++;
        Add(good ? TokenKind.String : TokenKind.Bad, good ? content.ToString() : "string (no escapes, ASCII, ends on its line)", 0, start);
    }
}
