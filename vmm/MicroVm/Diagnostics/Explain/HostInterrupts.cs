using System.Globalization;
using MicroVm.Vfio;

namespace MicroVm.Diagnostics.Explain;

/// <summary>How often the host's kernel has taken interrupts, by the names that it gives them: the messages of assigned devices do not come through this process.</summary>
internal sealed class HostInterrupts
{
    private readonly string[] _lines;

    private HostInterrupts(string[] lines) => _lines = lines;

    /// <summary>Reads <c>/proc/interrupts</c>.</summary>
    internal static HostInterrupts Read() => Parse(HostText.TryRead("/proc/interrupts") ?? "");

    /// <summary>Takes its text.</summary>
    internal static HostInterrupts Parse(string text) => new(text.Split('\n'));

    /// <summary>Interrupts of a name on all processors, or text that says that they are not known.</summary>
    internal object Of(string name)
    {
        foreach (string line in _lines)
        {
            // "  24:   5   0  PCI-MSI 65536-edge  vfio-msix[0](0000:00:04.0)"
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < 3 || words[^1] != name) continue;
            long sum = 0;
            foreach (string word in words.AsSpan(1))
            {
                if (!long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out long count)) break;
                sum += count;
            }
            return sum;
        }
        return "unknown: not in the host's /proc/interrupts";
    }
}
