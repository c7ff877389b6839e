namespace MicroVm.Cli.Arguments;

/// <summary>The values of <c>--serial</c>, <c>--console</c> and <c>--port</c>.</summary>
internal static class EndpointText
{
    internal const string Form = "stdio|file=F|socket=PATH|none", PortForm = "name=NAME,socket=PATH|file=F";

    internal static ConsoleEndpoint Parse(OptionValue value)
    {
        if (value.Text == "stdio") return ConsoleEndpoint.StandardIo;
        if (value.Text == "none") return ConsoleEndpoint.None;
        int equals = value.Text.IndexOf('=', StringComparison.Ordinal);
        return (equals < 0 ? null : Host(value.Text[..equals], value.Text[(equals + 1)..])) ?? throw value.Bad("nothing to connect it to", "Give stdio, file=PATH, socket=PATH or none");
    }

    internal static ConsolePortOptions ParsePort(OptionValue value)
    {
        DeviceParts parts = new(value, "a port", PortForm, "name", "socket", "file");
        (string? name, ConsoleEndpoint? endpoint) = (null, null);
        foreach ((string key, string? text) in parts)
        {
            if (key == "name" && text is { Length: > 0 }) name = text;
            else if (text is not null && Host(key, text) is { } host) endpoint = endpoint is null ? host : throw parts.Bad("a port has one host end");
            else throw parts.Unknown(key, text);
        }
        if (name is null) throw parts.Bad("a port without its name");
        return new ConsolePortOptions(name, endpoint ?? throw parts.Bad("a port without its host end"));
    }

    private static ConsoleEndpoint? Host(string key, string path) => path.Length == 0 ? null : key switch
    {
        "file" => ConsoleEndpoint.File(path),
        "socket" => ConsoleEndpoint.Socket(path),
        _ => null,
    };
}
