namespace MicroVm.Generators.Registers.Syntax;

/// <summary>Reads a file into lines nested by indentation.</summary>
internal static class LineTree
{
    private const int MaxDepth = 4;

    public static List<SourceLine> Read(string text, DiagnosticBag diagnostics, CancellationToken cancel)
    {
        var lexer = new Lexer(text, diagnostics);
        var roots = new List<SourceLine>();
        var open = new Stack<SourceLine>();
        var above = new List<string>();
        int line = 0;
        // What is nested below a line that was given up is given up with it.
        int dropped = int.MaxValue;
        for (int start = 0; start < text.Length; line++)
        {
            cancel.ThrowIfCancellationRequested();
            int newline = text.IndexOf('\n', start);
            int next = newline < 0 ? text.Length : newline + 1;
            int end = newline < 0 ? text.Length : newline;
            if (end > start && text[end - 1] == '\r') end--;
            Token[]? tokens = lexer.Scan(start, end, line, out string comment, out int codeEnd);
            int column = 0;
            while (start + column < end && text[start + column] == ' ') column++;
            bool below = column > dropped && start + column < end;
            if (tokens is null && !below) dropped = column;
            if (tokens is { Length: > 1 } && !below) Place(tokens, comment);
            else if (tokens is not null && comment.Length > 0) above.Add(comment);
            else above.Clear();
            start = next;

            void Place(Token[] found, string doc)
            {
                int indent = found[0].Pos.Column;
                string code = text.Substring(start + indent, codeEnd - start - indent);
                var item = new SourceLine(indent, found, doc, code) { Above = string.Join(" ", above) };
                above.Clear();
                dropped = Nest(item, roots, open, diagnostics) ? int.MaxValue : indent;
            }
        }
        return roots;
    }

    private static bool Nest(SourceLine item, List<SourceLine> roots, Stack<SourceLine> open, DiagnosticBag diagnostics)
    {
        if (item.Indent % 2 != 0 || item.Indent / 2 >= MaxDepth || item.Indent > (open.Count == 0 ? 0 : open.Peek().Indent + 2))
        {
            string legal = open.Count == 0 ? "0" : "at most " + Math.Min(open.Peek().Indent + 2, 2 * (MaxDepth - 1));
            diagnostics.Add("MVG020", item.First.Pos, $"an indentation of two spaces a level ({legal} here)", item.Indent + " spaces");
            return false;
        }
        while (open.Count > 0 && open.Peek().Indent >= item.Indent) open.Pop();
        (open.Count == 0 ? roots : open.Peek().Children).Add(item);
        open.Push(item);
        return true;
    }
}
