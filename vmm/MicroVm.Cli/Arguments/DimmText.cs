namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--memory</c> where a DIMM is added to a machine that runs.</summary>
internal static class DimmText
{
    internal const string Form = "SIZE[,id=NAME]";

    internal static (ulong Bytes, string? Id) Parse(OptionValue value)
    {
        DeviceParts parts = new(value, "a DIMM", Form, "id");
        (ulong Bytes, string? Id) dimm = default;
        foreach ((string key, string? text) in parts)
        {
            if (key == "id" && text is { Length: > 0 }) dimm.Id = text;
            else if (text is null && dimm.Bytes == 0) dimm.Bytes = SizeText.Parse(key, value);
            else throw parts.Unknown(key, text);
        }
        return dimm;
    }
}
