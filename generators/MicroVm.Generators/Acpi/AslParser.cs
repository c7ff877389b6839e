namespace MicroVm.Generators.Acpi;

/// <summary>Reads a file: its table line, parameters, <c>each</c> blocks and terms. After an error it goes on at the next line.</summary>
internal sealed partial class AslParser
{
    /// <summary>Deeper than any table needs, and far from the end of the stack.</summary>
    private const int MaxDepth = 64;

    private readonly List<Token> _tokens;
    private readonly Dictionary<int, string> _comments;
    private readonly DiagnosticBag _bag;
    private readonly CancellationToken _cancel;
    private readonly AslFile _file = new();
    private int _at, _depth;

    private AslParser(List<Token> tokens, Dictionary<int, string> comments, DiagnosticBag bag, CancellationToken cancel) =>
        (_tokens, _comments, _bag, _cancel) = (tokens, comments, bag, cancel);

    /// <summary>Ends the term in which something is wrong; the error has been reported.</summary>
    private sealed class SyntaxException : Exception;

    public static AslFile Parse(string text, DiagnosticBag bag, CancellationToken cancel)
    {
        (List<Token> tokens, Dictionary<int, string> comments) = Lexer.Read(text, cancel);
        var parser = new AslParser(tokens, comments, bag, cancel);
        parser.ReadFile();
        return parser._file;
    }

    private Token Current => _tokens[_at];

    private Token Previous => _tokens[Math.Max(0, _at - 1)];

    private Token Take()
    {
        Token token = Current;
        if (token.Kind != TokenKind.End) _at++;
        return token;
    }

    private bool TakeIf(string punctuation)
    {
        if (!Current.Is(punctuation)) return false;
        _at++;
        return true;
    }

    private bool IsWord(string word) => Current.Kind == TokenKind.Name && Current.Text == word;

    private SyntaxException Fail(string expected)
    {
        Token found = Current;
        string what = found.Kind switch
        {
            TokenKind.String => "a string",
            TokenKind.Slot => $"slot '{found.Text}'",
            TokenKind.Bad => found.Text,
            TokenKind.End => found.Text,
            _ => $"'{found.Text}'",
        };
        _bag.Report(AcpiDiagnostics.Syntax, found, $"expected {expected}, found {what}");
        return new SyntaxException();
    }

    private Token Expect(string punctuation) => Current.Is(punctuation) ? Take() : throw Fail($"'{punctuation}'");

    private Token Expect(TokenKind kind, string expected) => Current.Kind == kind ? Take() : throw Fail(expected);

    /// <summary>Goes on behind an error: at the next line, but not past the brace that ends this block.</summary>
    private void Resume(int from)
    {
        int line = Current.Line, depth = 0;
        if (_at == from) Take();
        while (Current.Kind != TokenKind.End && (Current.Line == line || depth > 0))
        {
            if (Current.Is("{")) depth++;
            if (Current.Is("}") && --depth < 0) return;
            _at++;
        }
    }

    private void ReadFile()
    {
        var main = new AslUnit(UnitKind.Fragment, "", Current);
        _file.Units.Add(main);
        bool declared = false;
        while (Current.Kind != TokenKind.End)
        {
            _cancel.ThrowIfCancellationRequested();
            int from = _at, depth = _depth;
            try
            {
                if (IsWord("table") || IsWord("fragment"))
                {
                    if (declared || main.Terms.Count > 0) throw Fail("at most one 'table' or 'fragment' line, before anything else");
                    declared = true;
                    main = ReadHeader(main);
                    _file.Units[0] = main;
                }
                else if (IsWord("param")) ReadParams(main);
                else if (IsWord("each")) _file.Units.Add(ReadEach());
                else main.Terms.Add(ReadTerm());
            }
            catch (SyntaxException)
            {
                _depth = depth;
                Resume(from);
                if (Current.Is("}")) Take();
            }
        }
    }

    /// <summary><c>table SSDT "MICROV" "PCIGED" 1</c> or <c>fragment</c>.</summary>
    private AslUnit ReadHeader(AslUnit main)
    {
        Token word = Take();
        bool table = word.Text == "table";
        var unit = new AslUnit(table ? UnitKind.Table : UnitKind.Fragment, "", word);
        unit.Params.AddRange(main.Params);
        if (table)
        {
            unit.Signature = Fixed(Expect(TokenKind.Name, "a signature of 4 characters"), 4, "signature");
            unit.OemId = Fixed(Expect(TokenKind.String, "the OEM id"), 6, "OEM id");
            unit.OemTableId = Fixed(Expect(TokenKind.String, "the OEM table id"), 8, "OEM table id");
            unit.OemRevision = (uint)Expect(TokenKind.Number, "the OEM revision").Value;
        }
        _file.Extensions.Add((word.Start, Previous.End));
        return unit;
    }

    private string Fixed(Token token, int length, string what)
    {
        if (token.Text.Length > length) _bag.Report(AcpiDiagnostics.BadName, token, $"{what} \"{token.Text}\" is longer than {length} characters; shorten it");
        return token.Text.Length > length ? token.Text.Substring(0, length) : token.Text;
    }

    /// <summary><c>param A, B : u32 // what they are</c>.</summary>
    private void ReadParams(AslUnit unit)
    {
        Token word = Take();
        ReadParamList(unit);
        _file.Extensions.Add((word.Start, Previous.End));
    }

    private void ReadParamList(AslUnit unit)
    {
        var names = new List<Token>();
        do names.Add(Expect(TokenKind.Name, "a parameter's name")); while (TakeIf(","));
        Expect(":");
        Token type = Expect(TokenKind.Name, "a type: u4 u8 u12 u16 u32 u64");
        int bits = type.Text switch { "u4" => 4, "u8" => 8, "u12" => 12, "u16" => 16, "u32" => 32, "u64" => 64, _ => 0 };
        if (bits == 0) _bag.Report(AcpiDiagnostics.Syntax, type, $"expected a type (u4 u8 u12 u16 u32 u64), found '{type.Text}'");
        _comments.TryGetValue(type.Line, out string? doc);
        foreach (Token name in names)
        {
            if (unit.Params.FirstOrDefault(p => p.Name == name.Text) is { } first)
                _bag.Report(AcpiDiagnostics.Duplicate, name, name.Text, $"{first.At.Line + 1}");
            else
                unit.Params.Add(new AslParam(name.Text, bits == 0 ? 32 : bits, doc ?? "", name));
        }
    }

    /// <summary><c>each Name (A, B : u32, C : u8) { terms }</c>.</summary>
    private AslUnit ReadEach()
    {
        Token word = Take();
        Token name = Expect(TokenKind.Name, "the name of the repeated fragment");
        var unit = new AslUnit(UnitKind.Each, name.Text, name);
        if (_file.Units.FirstOrDefault(u => u.Name == name.Text) is { } first)
            _bag.Report(AcpiDiagnostics.Duplicate, name, name.Text, $"{first.At.Line + 1}");
        Expect("(");
        do ReadParamList(unit); while (TakeIf(","));
        Expect(")");
        Token open = Expect("{");
        _file.Extensions.Add((word.Start, open.End));
        unit.BodyStart = open.End;
        unit.Terms = ReadTerms();
        Token close = Expect("}");
        unit.BodyEnd = close.Start;
        _file.Extensions.Add((close.Start, close.End));
        return unit;
    }

    private List<AslNode> ReadTerms()
    {
        var terms = new List<AslNode>();
        while (Current.Kind != TokenKind.End && !Current.Is("}"))
        {
            _cancel.ThrowIfCancellationRequested();
            int from = _at, depth = _depth;
            try
            {
                terms.Add(ReadTerm());
            }
            catch (SyntaxException)
            {
                _depth = depth;
                Resume(from);
            }
        }
        return terms;
    }
}
