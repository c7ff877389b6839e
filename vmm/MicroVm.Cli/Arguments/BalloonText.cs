namespace MicroVm.Cli.Arguments;

/// <summary>The value of <c>--balloon</c>, which may be given alone.</summary>
internal static class BalloonText
{
    internal const string Form = "target=SIZE,oom,reporting,statistics=SECONDS";

    internal static BalloonOptions Parse(OptionValue value)
    {
        BalloonOptions balloon = new();
        if (value.Text == "true") return balloon;
        DeviceParts parts = new(value, "a balloon", Form, "target", "oom", "reporting", "statistics");
        foreach ((string key, string? text) in parts)
        {
            balloon = key switch
            {
                "target" when text is not null => balloon with { TargetBytes = SizeText.Parse(text, value) },
                "oom" when text is null => balloon with { DeflateOnOom = true },
                "reporting" when text is null => balloon with { FreePageReporting = true },
                "statistics" when text is not null => balloon with { StatisticsSeconds = (uint)parts.Number(text, 1, 3600, "an interval in seconds") },
                _ => parts.Common(balloon, key, text),
            };
        }
        return balloon;
    }
}
