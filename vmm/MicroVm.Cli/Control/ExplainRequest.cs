using System.Globalization;
using MicroVm.Diagnostics.Explain;

namespace MicroVm.Cli.Control;

/// <summary>What <c>explain</c> is asked for: the whole picture, or the way of one address.</summary>
/// <param name="Space"><c>gva</c>, <c>gpa</c>, <c>iova</c> or <c>aml</c>; null for the whole picture.</param>
/// <param name="Address">Of that space.</param>
/// <param name="Cpu">With <c>gva</c>: whose page tables count.</param>
internal sealed record ExplainRequest(string? Space, ulong Address, int Cpu)
{
    /// <summary>The words on the control socket.</summary>
    internal const string Form = "[gva|gpa|iova ADDRESS [CPU] | aml]";

    /// <summary>The tables of AML, to be disassembled by who asks.</summary>
    internal const string AmlTables = "aml";

    /// <summary>Reads the words.</summary>
    /// <exception cref="MicroVmException">They are others.</exception>
    internal static ExplainRequest Parse(IReadOnlyList<string> words) => words.Count switch
    {
        0 => new ExplainRequest(null, 0, 0),
        1 when words[0] == AmlTables => new ExplainRequest(AmlTables, 0, 0),
        2 or 3 when words[0] is "gva" or "gpa" or "iova" => new ExplainRequest(words[0], Number(words[1]), words.Count == 3 ? Vcpu(words[2]) : 0),
        _ => throw MicroVmException.Usage("not what explain takes", "explain", $"Give explain {Form}"),
    };

    /// <summary>An address: hexadecimal with <c>0x</c>, else decimal.</summary>
    /// <exception cref="MicroVmException">It is none.</exception>
    internal static ulong Number(string text)
    {
        bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        bool ok = ulong.TryParse(hex ? text.AsSpan(2) : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out ulong value);
        return ok ? value : throw MicroVmException.Usage("not an address", text.Length > 64 ? text[..64] + "..." : text, "Give it as 0xffffffff81000000");
    }

    /// <summary>A vCPU.</summary>
    /// <exception cref="MicroVmException">It is no number.</exception>
    internal static int Vcpu(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int cpu) ? cpu : throw MicroVmException.Usage("not a vCPU", text.Length > 64 ? text[..64] + "..." : text, "Give its number, from 0");

    /// <summary>The words again.</summary>
    internal string[] Words => Space is null ? [] : Space == AmlTables ? [Space] : [Space, Section.Hex(Address), Cpu.ToString(CultureInfo.InvariantCulture)];

    /// <summary>Asks a machine of this process.</summary>
    internal List<Section> Ask(Machine machine) => Space is null ? machine.Explain() : machine.Explain(Space, Address, Cpu);
}
