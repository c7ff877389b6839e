namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--virtio-mem</c>.</summary>
internal static class MemText
{
    internal const string Form = "size=SIZE[,requested=SIZE][,block=SIZE]";

    internal static MemOptions Parse(OptionValue value)
    {
        DeviceParts parts = new(value, "a memory device", Form, "size", "requested", "block");
        MemOptions mem = new(0);
        foreach ((string key, string? text) in parts)
        {
            mem = key switch
            {
                "size" when text is not null => mem with { SizeBytes = SizeText.Parse(text, value) },
                "requested" when text is not null => mem with { RequestedBytes = SizeText.Parse(text, value) },
                "block" when text is not null => mem with { BlockBytes = SizeText.Parse(text, value) },
                _ => parts.Common(mem, key, text),
            };
        }
        return mem.SizeBytes > 0 ? mem : throw parts.Bad("a memory device without its size");
    }
}
