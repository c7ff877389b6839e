namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--pmem</c>.</summary>
internal static class PmemText
{
    internal const string Form = "[path=]F[,ro]";

    internal static PmemOptions Parse(OptionValue value)
    {
        DeviceParts parts = new(value, "a persistent memory", Form, "path", "ro", "readonly") { BarePath = true };
        PmemOptions pmem = new("");
        foreach ((string key, string? text) in parts)
        {
            pmem = key switch
            {
                "path" when text is { Length: > 0 } => pmem with { Path = text },
                "ro" or "readonly" when text is null => pmem with { ReadOnly = true },
                _ => parts.Common(pmem, key, text),
            };
        }
        return pmem.Path.Length > 0 ? pmem : throw parts.Bad("a persistent memory without its file", "Use path=FILE");
    }
}
