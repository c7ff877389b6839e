namespace MicroVm.Cli.Arguments;

/// <summary>Matches words to a table of options: <c>--name value</c>, <c>--name=value</c>, <c>--switch</c>.</summary>
internal static class ArgumentParser
{
    /// <summary>Flags in the order given, from the word at <paramref name="first"/> on; null if one of them asks for help.</summary>
    /// <param name="command">Command that the words belong to, for messages.</param>
    /// <param name="args">The words.</param>
    /// <param name="first">Where they begin.</param>
    /// <param name="options">What they may be.</param>
    /// <param name="others">Takes the words that are not flags; null where there may be none.</param>
    /// <exception cref="MicroVmException">A word that is not a flag, an unknown flag, a value that is missing, a flag
    /// that may be given once and was given twice.</exception>
    internal static List<(Option<T> Option, OptionValue Value)>? Parse<T>(
        string command, string[] args, int first, Option<T>[] options, List<string>? others = null)
    {
        var found = new List<(Option<T> Option, OptionValue)>();
        for (int i = first; i < args.Length; i++)
        {
            string word = args[i];
            if (word is "--help" or "-h") return null;
            if (!word.StartsWith("--", StringComparison.Ordinal))
            {
                (others ?? throw Unexpected(command, word)).Add(word);
                continue;
            }
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            ReadOnlySpan<char> name = equals < 0 ? word.AsSpan(2) : word.AsSpan(2, equals - 2);
            Option<T> option = Find(options, name) ?? throw Unknown(command, name, options);
            OptionValue value = Value(option, args, ref i, word, equals);
            if (!option.Repeatable && found.Exists(f => f.Option == option))
                throw value.Bad($"--{option.Name} is given twice", "Remove one of them");
            found.Add((option, value));
        }
        return found;
    }

    /// <summary>The option of that name, or null.</summary>
    internal static Option<T>? Find<T>(Option<T>[] options, ReadOnlySpan<char> name)
    {
        foreach (Option<T> option in options)
        {
            if (name.SequenceEqual(option.Name)) return option;
        }
        return null;
    }

    /// <summary>Names of the options, for a suggestion.</summary>
    internal static string[] Names<T>(Option<T>[] options) => Array.ConvertAll(options, static o => o.Name);

    private static OptionValue Value<T>(Option<T> option, string[] args, ref int i, string word, int equals)
    {
        if (equals >= 0) return new OptionValue(word[(equals + 1)..], word);
        if (option.IsSwitch || option.Bare) return new OptionValue("true", word);
        // A value that looks like a flag is a forgotten value, but a lone "-5" is one to refuse by its meaning.
        if (i + 1 >= args.Length || args[i + 1].StartsWith("--", StringComparison.Ordinal))
        {
            throw MicroVmException.Usage("a value is missing", word, $"Use {word} {option.Value}");
        }
        i++;
        return new OptionValue(args[i], $"{word} {args[i]}");
    }

    private static MicroVmException Unexpected(string command, string word) =>
        MicroVmException.Usage("unexpected argument", word, $"Flags begin with --; run 'microvm {command} --help' for them");

    private static MicroVmException Unknown<T>(string command, ReadOnlySpan<char> name, Option<T>[] options)
    {
        string? near = Suggestion.For(name, Names(options));
        return MicroVmException.Usage("unknown flag", $"--{name}", near is null ? $"Run 'microvm {command} --help' for the flags" : $"Did you mean --{near}?");
    }
}
