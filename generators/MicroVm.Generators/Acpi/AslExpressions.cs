namespace MicroVm.Generators.Acpi;

/// <summary>Terms and expressions.</summary>
internal sealed partial class AslParser
{
    private static readonly Dictionary<string, (int Level, string Op)> Binary = new(StringComparer.Ordinal)
    {
        ["||"] = (1, "LOr"), ["&&"] = (2, "LAnd"), ["|"] = (3, "Or"), ["^"] = (4, "XOr"), ["&"] = (5, "And"),
        ["=="] = (6, "LEqual"), ["!="] = (6, "LNotEqual"), ["<"] = (7, "LLess"), [">"] = (7, "LGreater"), ["<="] = (7, "LLessEqual"), [">="] = (7, "LGreaterEqual"),
        ["<<"] = (8, "ShiftLeft"), [">>"] = (8, "ShiftRight"), ["+"] = (9, "Add"), ["-"] = (9, "Subtract"), ["*"] = (10, "Multiply"), ["/"] = (10, "Divide"), ["%"] = (10, "Mod"),
    };

    private static readonly Dictionary<string, string> Compound = new(StringComparer.Ordinal)
    {
        ["+="] = "Add", ["-="] = "Subtract", ["*="] = "Multiply", ["/="] = "Divide", ["%="] = "Mod",
        ["&="] = "And", ["|="] = "Or", ["^="] = "XOr", ["<<="] = "ShiftLeft", [">>="] = "ShiftRight",
    };

    /// <summary>One term: a declaration, a statement, an assignment or a call.</summary>
    private AslNode ReadTerm()
    {
        AslNode left = ReadExpression(0);
        Token sign = Current;
        if (TakeIf("=")) return Finish(Assign(left, ReadExpression(0), sign));
        if (sign.Kind == TokenKind.Punctuation && Compound.TryGetValue(sign.Text, out string? op))
        {
            Take();
            return Finish(Operation(op, sign, left, ReadExpression(0), left));
        }
        return left;
    }

    private void Enter()
    {
        if (++_depth > MaxDepth) throw Fail($"at most {MaxDepth} levels of nesting");
    }

    private AslNode Finish(AslNode node)
    {
        node.End = Previous.End;
        return node;
    }

    private static AslNode Operation(string op, Token at, AslNode left, AslNode right, AslNode? target)
    {
        var node = new AslNode(op, at) { Args = { left, right } };
        if (op == "Divide") node.Args.Add(null); // the remainder, which nobody takes
        if (AslOperators.Find(op)!.Args.EndsWith("T", StringComparison.Ordinal)) node.Args.Add(target);
        return node;
    }

    /// <summary><c>X = A + B</c> is <c>Add (A, B, X)</c>, for the operators for which iasl has it so; all else is <c>Store (Y, X)</c>.</summary>
    private static AslNode Assign(AslNode target, AslNode value, Token at)
    {
        string args = AslOperators.Find(value.Op)?.Args ?? "";
        if (value.Op is "Add" or "Subtract" or "Multiply" or "Divide" or "Mod" or "ShiftLeft" or "ShiftRight" or "And" or "Or" or "XOr" or "Not" or "Index"
            && value.Arg(args.Length - 1) is null)
        {
            while (value.Args.Count < args.Length - 1) value.Args.Add(null);
            if (value.Args.Count == args.Length) value.Args[args.Length - 1] = target;
            else value.Args.Add(target);
            return value;
        }
        return new AslNode("Store", at) { Args = { value, target } };
    }

    private AslNode ReadExpression(int level)
    {
        Enter();
        AslNode left = ReadUnary();
        while (Current.Kind == TokenKind.Punctuation && Binary.TryGetValue(Current.Text, out (int Level, string Op) found) && found.Level > level)
        {
            Token sign = Take();
            left = Finish(Operation(found.Op, sign, left, ReadExpression(found.Level), null));
        }
        _depth--;
        return left;
    }

    private AslNode ReadUnary()
    {
        Token sign = Current;
        if (sign.Is("!") || sign.Is("~"))
        {
            Take();
            Enter();
            var node = new AslNode(sign.Text == "!" ? "LNot" : "Not", sign) { Args = { ReadUnary() } };
            _depth--;
            return Finish(node);
        }
        AslNode left = ReadPrimary();
        while (true)
        {
            sign = Current;
            if (TakeIf("["))
            {
                left = new AslNode("Index", sign) { Args = { left, ReadExpression(0), null } };
                Expect("]");
                Finish(left);
            }
            else if (TakeIf("++")) left = Finish(new AslNode("Increment", sign) { Args = { left } });
            else if (TakeIf("--")) left = Finish(new AslNode("Decrement", sign) { Args = { left } });
            else return left;
        }
    }

    private AslNode ReadPrimary()
    {
        Token token = Current;
        switch (token.Kind)
        {
            case TokenKind.Number: return new AslNode(AslNode.Integer, Take());
            case TokenKind.String: return new AslNode(AslNode.Text, Take());
            case TokenKind.Slot: return new AslNode(AslNode.Slot, Take());
            case TokenKind.Name: return ReadNamed();
        }
        if (!TakeIf("(")) throw Fail("a term");
        AslNode inner = ReadExpression(0);
        Expect(")");
        return inner;
    }

    private AslNode ReadNamed()
    {
        Token token = Take();
        AslOperator? known = AslOperators.Find(token.Text);
        if (known is null && token.Text is "EISAID" or "Eisaid") known = AslOperators.Find("EisaId");
        var node = new AslNode(known is null ? AslNode.Name : token.Text is "EISAID" or "Eisaid" ? "EisaId" : token.Text, token);
        if (TakeIf("("))
        {
            if (known is null) node.Op = AslNode.Call;
            ReadArguments(node);
        }
        if (known is not null)
        {
            if (!known.Takes(node.Args.Count)) _bag.Report(AcpiDiagnostics.ArgumentCount, token, token.Text, $"{known.Arity} argument(s)", $"{node.Args.Count}");
            if (known.Body != BodyKind.None) ReadBody(node, known.Body);
        }
        else if (Current.Is("{")) throw Fail($"a term ('{token.Text}' is no operator of the subset that takes braces)");
        return Finish(node);
    }

    private void ReadArguments(AslNode node)
    {
        if (TakeIf(")")) return;
        while (true)
        {
            node.Args.Add(Current.Is(",") || Current.Is(")") ? null : ReadExpression(0));
            if (TakeIf(")")) return;
            Expect(",");
        }
    }

    private void ReadBody(AslNode node, BodyKind kind)
    {
        if (!Current.Is("{"))
        {
            if (node.Op is "Buffer" or "Registers") return; // Buffer (4) and Registers (...) stand without braces too
            throw Fail($"'{{' of {node.Op}");
        }
        Take();
        Enter();
        node.Body = kind switch
        {
            BodyKind.List => ReadList(),
            BodyKind.Fields => node.Op == "Registers" ? ReadMapping() : ReadFields(),
            _ => ReadTerms(),
        };
        _depth--;
        Expect("}");
    }

    private List<AslNode> ReadList()
    {
        var items = new List<AslNode>();
        while (!Current.Is("}"))
        {
            items.Add(ReadExpression(0));
            if (!TakeIf(",")) break;
        }
        return items;
    }

    /// <summary><c>NAME, bits</c>, <c>, bits</c> and <c>Offset (bytes)</c>.</summary>
    private List<AslNode> ReadFields()
    {
        var units = new List<AslNode>();
        while (!Current.Is("}"))
        {
            Token token = Current;
            if (IsWord("Offset"))
            {
                Take();
                Expect("(");
                units.Add(new AslNode("Offset", token) { Number = Expect(TokenKind.Number, "an offset in bytes").Value });
                Expect(")");
            }
            else
            {
                string name = token.Is(",") ? "" : Expect(TokenKind.Name, "a field's name").Text;
                Expect(",");
                units.Add(new AslNode(AslNode.FieldUnit, token) { Value = name, Number = Expect(TokenKind.Number, "a width in bits").Value });
            }
            if (!TakeIf(",")) break;
        }
        return units;
    }

    /// <summary><c>Selector = ESEL, Control.Eject = CEJ0</c>: registers and bit fields of the block, and their names in ASL.</summary>
    private List<AslNode> ReadMapping()
    {
        var units = new List<AslNode>();
        while (!Current.Is("}"))
        {
            Token register = Expect(TokenKind.Name, "a register of the block");
            Expect("=");
            Token name = Expect(TokenKind.Name, "a name of 4 characters");
            units.Add(new AslNode(AslNode.FieldUnit, register) { Value = register.Text, Args = { new AslNode(AslNode.Name, name) } });
            if (!TakeIf(",")) break;
        }
        return units;
    }
}
