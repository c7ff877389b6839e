using System.Globalization;
using System.Text;
using System.Text.Json;
using MicroVm.Diagnostics;
using MicroVm.Kvm;

namespace MicroVm.Cli.Arguments;

/// <summary>A JSON object whose keys are the names of flags. Comments and trailing commas are allowed; every error names line and column.</summary>
/// <remarks>Read token by token against the table of options, not into a class: one place knows the names, and the position of each value is at hand.</remarks>
internal static class ConfigFile
{
    private const int MaxBytes = 1 << 20;
    private const int MaxDepth = 8;

    /// <summary>Sets what the file at <paramref name="flag"/> says.</summary>
    /// <exception cref="MicroVmException">The file cannot be read, is no JSON, or has a key or value that no flag takes.</exception>
    internal static void Apply<T>(OptionValue flag, Option<T>[] options, T settings) => Apply(flag.Text, Read(flag.Text), options, settings);

    /// <summary>Sets what <paramref name="json"/> says; <paramref name="name"/> is for messages.</summary>
    internal static void Apply<T>(string name, ReadOnlySpan<byte> json, Option<T>[] options, T settings)
    {
        if (json.StartsWith(Encoding.UTF8.Preamble)) json = json[Encoding.UTF8.Preamble.Length..];
        Utf8JsonReader reader = new(json, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = MaxDepth });
        try
        {
            new Document<T>(name, options, settings).Apply(ref reader, json);
        }
        catch (JsonException e)
        {
            throw MicroVmException.Usage("the configuration is not valid JSON", $"{name}:{e.LineNumber + 1}:{e.BytePositionInLine + 1}", "Correct it there");
        }
    }

    private static byte[] Read(string path)
    {
        using HostFile? file = HostFile.TryOpen(path, Libc.O_RDONLY, out int error);
        if (file is null || !file.TryStatus(out HostFileStatus status, out error)) throw MicroVmException.Refused(FailureKind.Usage, "cannot read the configuration", path, error, "Give a JSON file that this user can read");
        if (status.Kind != HostFileKind.Regular) throw Unreadable(path, "not a regular file");
        if (status.Size > MaxBytes) throw Unreadable(path, "larger than 1 MiB");
        byte[] bytes = new byte[(int)status.Size];
        long read = file.Read(bytes, 0);
        return read >= 0 ? bytes[..(int)read] : throw Unreadable(path, Libc.Describe((int)-read));
    }

    private static MicroVmException Unreadable(string path, string why) =>
        MicroVmException.Usage("cannot read the configuration", $"{path}: {why}", "Give a JSON file that this user can read");

    private readonly ref struct Document<T>(string name, Option<T>[] options, T settings)
    {
        internal void Apply(ref Utf8JsonReader reader, ReadOnlySpan<byte> json)
        {
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw At(reader, json, "").Bad("the configuration is not an object", "Begin it with {");
            HashSet<string> before = [];
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                string key = Text(reader, json);
                if (!before.Add(key)) throw At(reader, json, "")
                    .Bad($"key '{key}' is given twice", "Remove one of them");
                Option<T>? option = ArgumentParser.Find(options, key);
                if (option is null || option.FlagOnly) throw Unknown(At(reader, json, ""), key);
                reader.Read();
                Values(ref reader, json, option);
            }
            // Past the closing brace only the end may come: the reader throws at anything else.
            reader.Read();
        }

        private void Values(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, Option<T> option)
        {
            bool list = reader.TokenType == JsonTokenType.StartArray;
            if (list && !option.Repeatable) throw At(reader, json, "").Bad($"'{option.Name}' takes one value, not a list", "Take the brackets away");
            if (list)
            {
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) Set(reader, json, option);
            }
            else
            {
                Set(reader, json, option);
            }
        }

        private void Set(in Utf8JsonReader reader, ReadOnlySpan<byte> json, Option<T> option)
        {
            bool isSwitch = reader.TokenType is JsonTokenType.True or JsonTokenType.False;
            bool fits = isSwitch ? option.IsSwitch || option.Bare : !option.IsSwitch && reader.TokenType is (JsonTokenType.String or JsonTokenType.Number);
            if (!fits) throw At(reader, json, "").Bad($"'{option.Name}' takes {(option.IsSwitch ? "true or false" : $"a string: {option.Value}")}", "Correct it there");
            string text = reader.TokenType == JsonTokenType.String ? Text(reader, json) : Encoding.UTF8.GetString(reader.ValueSpan);
            option.Set(settings, At(reader, json, text));
        }

        private string Text(in Utf8JsonReader reader, ReadOnlySpan<byte> json)
        {
            try
            {
                return JsonText.Text(reader);
            }
            catch (JsonException)
            {
                throw At(reader, json, "").Bad("a string that is no text", "Write it in UTF-8, without halves of pairs (\\ud800)");
            }
        }

        private OptionValue At(in Utf8JsonReader reader, ReadOnlySpan<byte> json, string text)
        {
            ReadOnlySpan<byte> before = json[..(int)reader.TokenStartIndex];
            int line = before.Count((byte)'\n') + 1;
            int column = before.Length - before.LastIndexOf((byte)'\n');
            return new OptionValue(text, string.Create(CultureInfo.InvariantCulture, $"{name}:{line}:{column}"), FromFile: true);
        }

        private MicroVmException Unknown(OptionValue where, string key)
        {
            if (ArgumentParser.Find(options, key) is not null)
                return where.Bad($"unknown key '{key}' in a configuration", $"Use it as a flag: --{key}");
            string? near = Suggestion.For(key, ArgumentParser.Names(Array.FindAll(options, static o => !o.FlagOnly)));
            return where.Bad($"unknown key '{key}'", near is null ? "Keys are the flags of 'microvm run --help' without dashes" : $"Did you mean '{near}'?");
        }
    }
}
