using System.Globalization;
using MicroVm.Bus;
using MicroVm.Devices;
using MicroVm.Pci;

namespace MicroVm.Diagnostics.Explain;

/// <summary>The PCI part of the picture: the tree of functions, where their BARs stand and what is in them, and their capabilities.</summary>
internal static class PciPicture
{
    private static readonly Dictionary<string, RegisterInfo> s_header = new(Array.ConvertAll(PciHeader0.Catalog.Registers, static r => KeyValuePair.Create(r.Name, r)));

    internal static void Add(List<Section> picture, PciHost pci)
    {
        PciFunction[] functions = InTreeOrder(pci.Root.Functions);
        picture.Add(Functions(functions));
        picture.Add(Bars(functions));
        picture.Add(Parts(functions));
        picture.Add(Capabilities(functions));
    }

    // A bridge, then what is behind it.
    private static PciFunction[] InTreeOrder(PciFunction[] all)
    {
        List<PciFunction> ordered = [];
        foreach (PciFunction function in OnBus(all, 0))
        {
            ordered.Add(function);
            if (function is RootPort port) ordered.AddRange(OnBus(all, port.Secondary));
        }
        return [.. ordered];
    }

    private static IEnumerable<PciFunction> OnBus(PciFunction[] all, byte bus) => all.Where(f => f.Address.Bus == bus).OrderBy(static f => (ulong)f.Address.Devfn);

    private static Section Functions(PciFunction[] functions)
    {
        Section section = new("pci", "address", "behind", "device", "id", "class", "leadsToBus", "windows", "memorySpace", "busMaster");
        foreach (PciFunction f in functions)
        {
            PciFunction? above = f.Address.Bus == 0 ? null : Array.Find(functions, p => p is RootPort port && port.Secondary == f.Address.Bus);
            section.Add(f.Address.ToString(), above?.Address.ToString(), f.Name, $"{Word(f, "VendorId"):x4}:{Word(f, "DeviceId"):x4}", Class(f), f is RootPort p ? p.Secondary : null,
                (f as RootPort)?.Windows, f.Header.MemoryEnabled, f.Header.BusMaster);
        }
        return section;
    }

    private static Section Bars(PciFunction[] functions)
    {
        Section section = new("bars", "address", "bar", "bytes", "guest", "kind");
        foreach (PciFunction f in functions)
        {
            foreach (PciBar bar in f.Bars)
            {
                section.Add(f.Address.ToString(), bar.Index, bar.Size, bar.Address is { } at ? Section.Hex(at) : null,
                    $"{(bar.Is64 ? 64 : 32)}-bit{(bar.Prefetchable ? " prefetchable" : "")}{(bar.Address is null ? ", not decoded" : "")}");
            }
        }
        return section;
    }

    private static Section Parts(PciFunction[] functions)
    {
        Section section = new("barParts", "address", "bar", "offset", "bytes", "how", "what");
        foreach (PciFunction f in functions)
        {
            foreach (PciBar bar in f.Bars)
            {
                foreach (BarRegion region in bar.Regions.OrderBy(static r => r.Offset))
                {
                    (ulong? bytes, string how, string what) = region switch
                    {
                        BarRegion.Memory { ReadOnly: true } m => (m.Length, "read without exit", "resident registers"),
                        BarRegion.Memory m => (m.Length, "mapped without exit", "the device's own"),
                        BarRegion.Doorbell d => (d.Width == 0 ? null : d.Width, "doorbell", $"{(d.Match is { } value ? $"value {value}" : "any value")} to eventfd {d.Event.Fd}"),
                        BarRegion.Registers r => (r.Block.Info.Size, "trapped", r.Block.Info.Name),
                        _ => ((ulong?)null, "", ""),
                    };
                    section.Add(f.Address.ToString(), bar.Index, Section.Hex(region.Offset), bytes, how, what);
                }
            }
        }
        return section;
    }

    private static Section Capabilities(PciFunction[] functions)
    {
        Section section = new("capabilities", "address", "offset", "capability", "state", "declaredIn");
        foreach (PciFunction f in functions)
        {
            // As the list has them: the last made stands at its head.
            foreach ((uint offset, IRegisterBlock block) in f.Parts.Reversed())
            {
                if (block is IPciHeader) continue;
                section.Add(f.Address.ToString(), Section.Hex(offset), CapabilityText.Name(block.Info), CapabilityText.State(block.Info, f.Page, offset), block.Info.File);
            }
            foreach ((uint offset, string name) in CapabilityText.Extended(f.Page)) section.Add(f.Address.ToString(), Section.Hex(offset), name, null, "devices.def/vfio_config.def");
        }
        return section;
    }

    private static ushort Word(PciFunction f, string register) => f.Page.Load<ushort>(s_header[register].Offset);

    private static string Class(PciFunction f)
    {
        byte Byte(string register) => f.Page.Load<byte>(s_header[register].Offset);
        return string.Create(CultureInfo.InvariantCulture, $"{Byte("BaseClass"):x2}{Byte("SubClass"):x2}{Byte("Interface"):x2}");
    }
}
