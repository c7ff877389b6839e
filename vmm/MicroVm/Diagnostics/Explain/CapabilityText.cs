using System.Text;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Diagnostics.Explain;

/// <summary>A capability in words that its declaration has: its name is the comment of its id, its state the fields and values that the guest reads.</summary>
internal static class CapabilityText
{
    /// <summary>Name of the capability.</summary>
    internal static string Name(BlockInfo info)
    {
        string name = info.Registers.Length > 0 && info.Registers[0].Name == "Id" ? info.Registers[0].Doc : info.Name;
        // Vendors' own are told apart by their blocks.
        return info.Name.StartsWith("Virtio", StringComparison.Ordinal) ? $"{name}: {info.Name}" : name;
    }

    /// <summary>Fields by name where they are declared, else values, without those that are 0.</summary>
    internal static string State(BlockInfo info, ResidentPage page, uint offset)
    {
        StringBuilder text = new();
        foreach (RegisterInfo r in info.Registers)
        {
            if (r.Name is "Id" or "Next" or "CapLength" || r.Width is not (1 or 2 or 4 or 8) || (r.Traits & RegisterTraits.Secret) != 0) continue;
            ulong value = Load(page, offset + r.Offset, r.HighHalf >= 0 ? 8 : (int)r.Width);
            if (r.Fields.Length == 0)
            {
                if (value != 0) Append(text, Value(info, r, value));
                continue;
            }
            foreach (FieldInfo f in r.Fields)
            {
                ulong field = value >> f.Low & (ulong.MaxValue >> (63 - (f.High - f.Low)));
                if (f.Low == f.High && field == 1) Append(text, f.Name);
                else if (f.Low != f.High) Append(text, $"{f.Name} {field}");
            }
        }
        return text.ToString();
    }

    /// <summary>Extended capabilities that the guest finds behind the first 256 bytes, by a list that may end anywhere.</summary>
    internal static IEnumerable<(uint Offset, string Name)> Extended(ResidentPage page)
    {
        uint at = PciCapabilityConst.ExtendedStart;
        while (at != 0 && at <= page.Size - sizeof(uint))
        {
            uint head = page.Load<uint>(at);
            PciExtendedRule id = (PciExtendedRule)(head & PciCapabilityConst.ExtendedIdMask);
            if (id != 0) yield return (at, $"extended: {id}");
            uint next = head >> (int)PciCapabilityConst.ExtendedNextShift;
            if (next <= at) yield break;
            at = next;
        }
    }

    private static string Value(BlockInfo info, RegisterInfo r, ulong value)
    {
        if (r.Name == "ConfigType") return $"{(VirtioPciCapType)value}";
        if (r.Name == "Capabilities" && info.Name.EndsWith("ExpressCap", StringComparison.Ordinal)) return $"{(PciExpressType)(value >> PciExpressConst.TypeShift & 0xf)}";
        return $"{r.Name} {Section.Hex(value)}";
    }

    private static ulong Load(ResidentPage page, uint at, int width) => width switch { 1 => page.Load<byte>(at), 2 => page.Load<ushort>(at), 4 => page.Load<uint>(at), _ => page.Load<ulong>(at) };

    private static void Append(StringBuilder text, string word)
    {
        if (text.Length > 0) text.Append(", ");
        text.Append(word);
    }
}
