namespace MicroVm.Cli.Arguments;

/// <summary>What the flags of <c>microvm vfio</c> said.</summary>
internal sealed class VfioSettings
{
    internal bool Json { get; set; }
    internal bool DryRun { get; set; }
}

/// <summary>The flags of <c>microvm vfio</c>.</summary>
internal static class VfioOptions
{
    internal static readonly Option<VfioSettings>[] All =
    [
        new("dry-run", null, "bind, unbind: print what would be written to sysfs, as shell commands.", static (s, v) => s.DryRun = v.Text == "true") { Heading = "Flags" },
        new("json", null, "list: print JSON with stable names (docs/vfio.md).", static (s, v) => s.Json = v.Text == "true"),
    ];

    /// <summary>Fills <paramref name="settings"/> from the words at <paramref name="first"/> on; false if help was asked for.</summary>
    internal static bool Parse(string[] args, int first, VfioSettings settings)
    {
        var flags = ArgumentParser.Parse("vfio", args, first, All);
        foreach ((Option<VfioSettings> option, OptionValue value) in flags ?? []) option.Set(settings, value);
        return flags is not null;
    }
}
