using System.Text.Json;
using MicroVm.Diagnostics;

namespace MicroVm.Cli.Control;

/// <summary>One line to the control socket.</summary>
internal sealed record ControlRequest
{
    private const string CommandKey = "command", ArgumentsKey = "arguments";

    /// <summary>A name from <see cref="ControlCommands.All"/>.</summary>
    public required string Command { get; init; }

    /// <summary>Its words, as after <c>microvm ctl NAME COMMAND</c>.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Reads one.</summary>
    /// <exception cref="JsonException">It is no JSON, or no request: a name that no request has or that stands twice, a value of another kind, no command.</exception>
    internal static ControlRequest Read(ReadOnlySpan<byte> line)
    {
        Utf8JsonReader reader = new(line, new JsonReaderOptions { MaxDepth = JsonText.MaxDepth });
        string? command = null;
        List<string>? arguments = null;
        Expect(ref reader, JsonTokenType.StartObject);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (command is null && reader.ValueTextEquals(CommandKey)) command = Text(ref reader);
            else if (arguments is null && reader.ValueTextEquals(ArgumentsKey)) arguments = Texts(ref reader);
            else throw Wrong(reader);
        }
        if (command is null) throw Wrong(reader);
        // Only the end may come: the reader throws at anything else.
        reader.Read();
        return new ControlRequest { Command = command, Arguments = arguments ?? [] };
    }

    /// <summary>Its line.</summary>
    internal byte[] ToLine() => JsonText.Of(new JsonMap { [CommandKey] = Command, [ArgumentsKey] = new JsonList(Arguments) });

    private static List<string> Texts(ref Utf8JsonReader reader)
    {
        List<string> texts = [];
        Expect(ref reader, JsonTokenType.StartArray);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            texts.Add(reader.TokenType == JsonTokenType.String ? JsonText.Text(reader) : throw Wrong(reader));
        }
        return texts;
    }

    private static string Text(ref Utf8JsonReader reader)
    {
        Expect(ref reader, JsonTokenType.String);
        return JsonText.Text(reader);
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType type)
    {
        if (!reader.Read() || reader.TokenType != type) throw Wrong(reader);
    }

    private static JsonException Wrong(in Utf8JsonReader reader) => new(null, null, 0, reader.TokenStartIndex);
}

/// <summary>The line that answers it.</summary>
internal sealed record ControlAnswer
{
    private const string OkKey = "ok", ResultKey = "result", ErrorKey = "error", CodeKey = "code";

    public required bool Ok { get; init; }

    /// <summary>What was asked for, where the command answers something: a value of <see cref="JsonMap"/>.</summary>
    public object? Result { get; init; }

    /// <summary>What went wrong, in the form of every error: WHAT, WHERE. TRY.</summary>
    public string? Error { get; init; }

    /// <summary>With an error: exit code of <c>microvm ctl</c>, a <see cref="FailureKind"/>.</summary>
    public int? Code { get; init; }

    /// <summary>Reads one.</summary>
    /// <exception cref="JsonException">It is no JSON, or no answer.</exception>
    internal static ControlAnswer Read(ReadOnlySpan<byte> line)
    {
        if (JsonText.Parse(line) is not JsonMap map || map[OkKey] is not bool ok) throw new JsonException();
        return new ControlAnswer { Ok = ok, Result = map[ResultKey], Error = map[ErrorKey] as string, Code = map[CodeKey] is long code ? (int)code : null };
    }

    /// <summary>Its line; what is null is left out.</summary>
    internal byte[] ToLine()
    {
        JsonMap map = new() { [OkKey] = Ok };
        if (Result is not null) map[ResultKey] = Result;
        if (Error is not null) map[ErrorKey] = Error;
        if (Code is { } code) map[CodeKey] = code;
        return JsonText.Of(map);
    }
}
