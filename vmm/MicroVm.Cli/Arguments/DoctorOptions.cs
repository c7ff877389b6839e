namespace MicroVm.Cli.Arguments;

/// <summary>What the flags of <c>microvm doctor</c> said.</summary>
internal sealed class DoctorSettings
{
    internal bool Json { get; set; }
}

/// <summary>The flags of <c>microvm doctor</c>.</summary>
internal static class DoctorOptions
{
    internal static readonly Option<DoctorSettings>[] All =
    [
        new("json", null, "Print JSON with stable names (docs/doctor.md).", static (s, v) => s.Json = v.Text == "true") { Heading = "Flags" },
    ];

    /// <summary>Fills <paramref name="settings"/>; false if help was asked for.</summary>
    internal static bool Parse(string[] args, DoctorSettings settings)
    {
        var flags = ArgumentParser.Parse("doctor", args, 1, All);
        foreach ((Option<DoctorSettings> option, OptionValue value) in flags ?? []) option.Set(settings, value);
        return flags is not null;
    }
}
