namespace MicroVm.Cli.Arguments;

/// <summary>A flag, once: the parser, the configuration file and the help all read this.</summary>
/// <param name="Name">Name without dashes, the key in a configuration file too.</param>
/// <param name="Value">What stands for its value in the help; null for a switch.</param>
/// <param name="Help">One or two lines of help.</param>
/// <param name="Set">Takes the value, or throws <see cref="OptionValue.Bad"/>.</param>
internal sealed record Option<T>(string Name, string? Value, string Help, Action<T, OptionValue> Set)
{
    /// <summary>What holds without the flag, for the help.</summary>
    internal string? Default { get; init; }

    /// <summary>Heading in the help that begins with this flag, or null.</summary>
    internal string? Heading { get; init; }

    /// <summary>May be given more than once; in a configuration file a list.</summary>
    internal bool Repeatable { get; init; }

    /// <summary>Takes the parts of its value apart, where these are of that form.</summary>
    internal Func<OptionValue, DeviceParts>? Parts { get; init; }

    /// <summary>A device that can also come while the guest runs (<c>microvm ctl NAME add</c>).</summary>
    internal bool Pluggable { get; init; }

    /// <summary>Has no meaning inside a configuration file.</summary>
    internal bool FlagOnly { get; init; }

    /// <summary>May also be given alone, like a switch; a value comes after <c>=</c>, in a configuration file as a string.</summary>
    internal bool Bare { get; init; }

    /// <summary>Takes no value on the command line.</summary>
    internal bool IsSwitch => Value is null;
}

/// <summary>A value as the user gave it.</summary>
/// <param name="Text">The text; <c>true</c> or <c>false</c> for a switch.</param>
/// <param name="Where">Where it stands, for messages: <c>--cpus x</c> or <c>vm.json:3:11</c>.</param>
/// <param name="FromFile">It comes from a configuration file, which flags override.</param>
internal readonly record struct OptionValue(string Text, string Where, bool FromFile = false)
{
    /// <summary>The failure to throw for a value that cannot be.</summary>
    internal MicroVmException Bad(string what, string remedy) => MicroVmException.Usage(what, Where, remedy);
}
