using System.Globalization;
using System.Numerics;
using System.Text;
using MicroVm.Devices;

namespace MicroVm.Diagnostics.Explain;

/// <summary>Names of virtio devices' queues and features, as <c>devices.def/</c> has them.</summary>
internal sealed class VirtioNames
{
    private readonly Dictionary<uint, (List<string> Queues, Dictionary<int, string> Features)> _devices = [];

    internal VirtioNames()
    {
        (List<string> Queues, Dictionary<int, string> Features) device = ([], []);
        foreach (string line in Encoding.ASCII.GetString(VirtioCatalog.Names).Split('\n'))
        {
            string[] words = line.Split(' ');
            switch (words[0])
            {
                case "d": _devices.TryAdd((uint)Number(words[1]), device = ([], [])); break;
                case "q": device.Queues.Add(words[1]); break;
                case "f": device.Features[Number(words[1])] = words[2]; break;
            }
        }
    }

    /// <summary>Name of a queue, or null for one behind the last that is declared.</summary>
    internal string? Queue(uint device, int index) => _devices.TryGetValue(device, out var d) && index < d.Queues.Count ? d.Queues[index] : null;

    /// <summary>Features by name, by bit where nobody declared one.</summary>
    internal string Features(uint device, ulong features)
    {
        List<string> names = [];
        _ = _devices.TryGetValue(device, out var d);
        for (; features != 0; features &= features - 1)
        {
            int bit = BitOperations.TrailingZeroCount(features);
            VirtioFeatures ring = (VirtioFeatures)(1UL << bit);
            names.Add(d.Features?.GetValueOrDefault(bit) ?? (Enum.IsDefined(ring) ? $"{ring}" : $"bit {bit}"));
        }
        return string.Join(' ', names);
    }

    private static int Number(string word) => int.Parse(word, CultureInfo.InvariantCulture);
}
