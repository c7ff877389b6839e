using System.Globalization;
using System.Text;
using MicroVm.Boot;
using MicroVm.Diagnostics.Explain;
using MicroVm.Kvm;

namespace MicroVm.Cli.Explain;

/// <summary>AML as text: Debian's <c>iasl</c> disassembles it, and each line that declares an object gets the place in
/// <c>acpi.def/</c> that it comes from.</summary>
/// <remarks>The tables lie in the guest's memory, and <c>iasl</c> trusts what it reads: it gets only bytes that this
/// program compared with its own declarations. All others are shown in hexadecimal digits.</remarks>
internal static class Disassembly
{
    private const string Program = "iasl";
    private const int MaxTableBytes = (int)BootLayout.AcpiSize, MaxHexBytes = 64 << 10, HexPerLine = 16;
    private const int MaxTextBytes = 8 << 20;
    private static readonly ProgramLimits s_limits = new(5000, MaxTextBytes, 1UL << 30);

    /// <summary>The text of all tables, or null where there is no <c>iasl</c>.</summary>
    /// <param name="picture">What <c>explain aml</c> answered.</param>
    /// <exception cref="MicroVmException">It is no such answer.</exception>
    internal static string? TryMake(IReadOnlyList<Section> picture)
    {
        StringBuilder text = new();
        Section? aml = HtmlPage.Find(picture, AcpiPicture.AmlSection);
        if (aml is null or { Rows.Count: 0 }) text.Append("// No table of AML is where the root pointer leads.\n");
        foreach (object?[] row in aml?.Rows ?? [])
        {
            byte[] table = Digits(HtmlPage.Cell(aml!, row, AcpiPicture.AmlDigits));
            string signature = AcpiPicture.Text(table.AsSpan(0, Math.Min(4, table.Length)));
            AcpiObjects objects = new();
            if (table.Length > MaxTableBytes || !objects.IsDeclared(signature, table))
            {
                AddHex(text, signature, "not as declared: the guest wrote over it, or its microvm is another version",
                    table);
                continue;
            }
            string? plain = Run(table, out bool hasProgram);
            if (!hasProgram) return null;
            if (plain is null) AddHex(text, signature, "not disassembled: iasl failed", table);
            else Annotate(text, plain, Places(objects.Rows));
        }
        return text.ToString();
    }

    private static byte[] Digits(string hex)
    {
        try
        {
            return Convert.FromHexString(hex);
        }
        catch (FormatException)
        {
            throw MicroVmException.Host("the answer is not one of microvm's", "its tables",
                "Ask the machine with its own version of microvm");
        }
    }

    private static void AddHex(StringBuilder text, string signature, string why, byte[] table)
    {
        text.Append($"// {signature}, {table.Length} bytes, {why}.\n");
        ReadOnlySpan<byte> shown = table.AsSpan(0, Math.Min(table.Length, MaxHexBytes));
        for (int at = 0; at < shown.Length; at += HexPerLine)
        {
            ReadOnlySpan<byte> line = shown.Slice(at, Math.Min(HexPerLine, shown.Length - at));
            text.Append(CultureInfo.InvariantCulture, $"{at:x6}  {Convert.ToHexStringLower(line)}\n");
        }
        if (shown.Length < table.Length) text.Append($"// and {table.Length - shown.Length} bytes more\n");
    }

    /// <summary>Adds the places to the lines of a disassembled table.</summary>
    /// <param name="text">Where to.</param>
    /// <param name="plain">What <c>iasl</c> wrote: braces stand on lines of their own.</param>
    /// <param name="places">Path of an object to its place.</param>
    internal static void Annotate(StringBuilder text, string plain, IReadOnlyDictionary<string, string> places)
    {
        Stack<string> scopes = new(["\\"]);
        string next = "\\";
        foreach (string line in plain.Split('\n'))
        {
            string code = line.Trim();
            if (code == "{") scopes.Push(next);
            else if (code.StartsWith('}') && scopes.Count > 1) _ = scopes.Pop();
            string scope = scopes.Peek();
            text.Append(line.TrimEnd());
            if (Declared(code) is { } name)
            {
                string path = name.StartsWith('\\') ? name : scope == "\\" ? "\\" + name : $"{scope}.{name}";
                next = OpensScope(code) ? path : scope;
                if (places.TryGetValue(path, out string? place)) text.Append("    // ").Append(place);
            }
            else if (code != "{") next = scope;
            text.Append('\n');
        }
    }

    // "Device (\_SB.PWRB)", "Name (_HID, ...", "OperationRegion (GEDR, ..."; in the list of a Field: "ESEL,   32".
    private static string? Declared(string code)
    {
        int open = code.IndexOf('(', StringComparison.Ordinal);
        if (open > 0 && code[..open].Trim() is "Device" or "Name" or "Method" or "OperationRegion" or "Scope" or "Mutex" or "Event")
        {
            int end = code.IndexOfAny([',', ')'], open);
            return end < 0 ? null : code[(open + 1)..end].Trim();
        }
        int comma = code.IndexOf(',', StringComparison.Ordinal);
        return comma is > 0 and <= 4 && code[..comma].All(static c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c) || c == '_') ? code[..comma].Trim() : null;
    }

    private static bool OpensScope(string code) => code.StartsWith("Device", StringComparison.Ordinal) || code.StartsWith("Scope", StringComparison.Ordinal) || code.StartsWith("Method", StringComparison.Ordinal);

    private static Dictionary<string, string> Places(Section objects)
    {
        Dictionary<string, string> places = [];
        foreach (object?[] row in objects.Rows)
        {
            places.TryAdd(HtmlPage.Cell(objects, row, "object"), HtmlPage.Cell(objects, row, "declaredAt"));
        }
        return places;
    }

    // Its text, or null if it failed or wrote too much.
    private static string? Run(byte[] table, out bool hasProgram)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("microvm-aml-");
        try
        {
            string binary = Path.Combine(folder.FullName, "table.aml"), text = Path.ChangeExtension(binary, ".dsl");
            File.WriteAllBytes(binary, table);
            int? code = HostProgram.Run(Program, ["-d", binary], s_limits, out int error);
            hasProgram = error != Libc.ENOENT;
            FileInfo written = new(text);
            bool whole = code == 0 && written.Exists && written.Length <= MaxTextBytes;
            return whole ? Encoding.UTF8.GetString(File.ReadAllBytes(text)) : null;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
