using System.Text;
using MicroVm.Diagnostics.Explain;
using MicroVm.Kvm;

namespace MicroVm.Cli.Explain;

/// <summary>AML as text: Debian's <c>iasl</c> disassembles it, and each line that declares an object gets the place in <c>acpi.def/</c> that it comes from.</summary>
internal static class Disassembly
{
    private const string Program = "iasl";

    /// <summary>The text of all tables, or null where there is no <c>iasl</c>.</summary>
    /// <exception cref="MicroVmException">It cannot disassemble a table: the guest wrote over it.</exception>
    internal static string? TryMake(IReadOnlyList<Section> aml)
    {
        StringBuilder text = new();
        foreach (object?[] table in aml[0].Rows)
        {
            if (TryRun(Convert.FromHexString((string)table[1]!)) is not { } plain) return null;
            Annotate(text, plain, Places(aml[1], (string)table[0]!));
        }
        return text.ToString();
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

    private static Dictionary<string, string> Places(Section objects, string table)
    {
        Dictionary<string, string> places = [];
        int name = Index(objects, "object"), at = Index(objects, "declaredAt");
        foreach (object?[] row in objects.Rows)
        {
            if (row[0] as string == table && row[at] is string place) places.TryAdd((string)row[name]!, place);
        }
        return places;
    }

    private static int Index(Section section, string column) => Math.Max(0, Array.IndexOf([.. section.Columns], column));

    private static string? TryRun(byte[] table)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("microvm-aml-");
        try
        {
            string binary = Path.Combine(folder.FullName, "table.aml");
            File.WriteAllBytes(binary, table);
            int? code = HostProgram.Run(Program, ["-d", binary], out int error);
            if (error == Libc.ENOENT) return null;
            string text = Path.ChangeExtension(binary, ".dsl");
            return code == 0 && File.Exists(text) ? Encoding.UTF8.GetString(File.ReadAllBytes(text)) : throw MicroVmException.Host("iasl cannot disassemble the table", $"{table.Length} bytes", "See 'microvm explain' without --aml: the guest may have written over it");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
