using System.Globalization;

namespace MicroVm.Generators.Registers.Syntax;

/// <summary>Cuts one line into tokens. A bad character is reported and ends the line's tokens; the next line starts afresh.</summary>
internal sealed class Lexer(string text, DiagnosticBag diagnostics)
{
    private int _at;
    private int _end;
    private int _lineStart;
    private int _line;

    /// <summary>Tokens of the line at [<paramref name="start"/>, <paramref name="end"/>), null where nothing can be made of it.</summary>
    public Token[]? Scan(int start, int end, int line, out string comment, out int codeEnd)
    {
        (_at, _end, _lineStart, _line) = (start, end, start, line);
        comment = "";
        var tokens = new List<Token>();
        bool good = true;
        while (true)
        {
            while (_at < _end && text[_at] == ' ') _at++;
            codeEnd = _at;
            if (_at >= _end) break;
            if (text[_at] == '#')
            {
                comment = text.Substring(_at + 1, _end - _at - 1).Trim();
                break;
            }
            if (Next() is not { } token)
            {
                good = false;
                break;
            }
            tokens.Add(token);
        }
        while (codeEnd > start && text[codeEnd - 1] == ' ') codeEnd--;
        if (!good) return null;
        tokens.Add(new Token(TokenKind.End, "", 0, new Pos(codeEnd, 1, line, codeEnd - start)));
        return [.. tokens];
    }

    private Token? Next()
    {
        char c = text[_at];
        if (c is >= '0' and <= '9') return Number();
        if (IsWordStart(c)) return new Token(TokenKind.Word, Take(IsWordPart, out Pos word), 0, word);
        if (c == '"') return Quoted();
        int length = c == '.' && _at + 1 < _end && text[_at + 1] == '.' ? 2 : 1;
        if ("[]=:,.".IndexOf(c) >= 0)
        {
            var pos = At(_at, length);
            _at += length;
            return new Token(TokenKind.Symbol, length == 2 ? ".." : c.ToString(), 0, pos);
        }
        string what = c == '\t' ? "a tab (indent with two spaces a level)" : $"character U+{(int)c:X4}";
        diagnostics.Add("MVG020", At(_at, 1), "a word, a number, or one of [ ] = : , . ..", what);
        return null;
    }

    private Token? Number()
    {
        string digits = Take(IsWordPart, out Pos pos);
        string plain = digits.Replace("_", "");
        bool hex = plain.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        ulong value;
        bool ok = hex
            ? ulong.TryParse(plain.Substring(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
            : ulong.TryParse(plain, NumberStyles.None, CultureInfo.InvariantCulture, out value);
        if (ok) return new Token(TokenKind.Number, digits, value, pos);
        diagnostics.Add("MVG020", pos, "a number of at most 64 bits, decimal or 0x hex", "'" + digits + "'");
        return null;
    }

    private Token? Quoted()
    {
        int close = text.IndexOf('"', _at + 1, _end - _at - 1);
        if (close < 0)
        {
            diagnostics.Add("MVG020", At(_at, 1), "a closing '\"'", "the end of the line");
            return null;
        }
        var token = new Token(TokenKind.Text, text.Substring(_at + 1, close - _at - 1), 0, At(_at, close + 1 - _at));
        _at = close + 1;
        return token;
    }

    private string Take(Func<char, bool> part, out Pos pos)
    {
        int start = _at;
        while (_at < _end && part(text[_at])) _at++;
        pos = At(start, _at - start);
        return text.Substring(start, _at - start);
    }

    private Pos At(int start, int length) => new(start, length, _line, start - _lineStart);

    private static bool IsWordStart(char c) => c is >= 'A' and <= 'Z' or >= 'a' and <= 'z' or '_';

    private static bool IsWordPart(char c) => IsWordStart(c) || c is >= '0' and <= '9';
}
