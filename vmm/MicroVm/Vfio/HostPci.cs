using System.Globalization;
using System.Text;
using MicroVm.Kvm;

namespace MicroVm.Vfio;

/// <summary>The host's PCI functions in sysfs. Tests give a folder in the place of <c>/</c>.</summary>
/// <param name="root">Folder in front of every path; empty for this host.</param>
internal sealed class HostPci(string root)
{
    internal const string VfioDriver = "vfio-pci";

    private const string Devices = "/sys/bus/pci/devices", Drivers = "/sys/bus/pci/drivers";

    /// <summary>All functions in the order of their addresses.</summary>
    internal IReadOnlyList<HostFunction> All()
    {
        if (!Directory.Exists(root + Devices)) return [];
        List<HostFunction> found = [];
        foreach (string path in Directory.GetFileSystemEntries(root + Devices))
        {
            if (Read(Path.GetFileName(path)) is { } function) found.Add(function);
        }
        found.Sort(static (a, b) => string.CompareOrdinal(a.Address, b.Address));
        return found;
    }

    /// <summary>The function of that name.</summary>
    /// <param name="text">Address, with or without its domain.</param>
    /// <exception cref="MicroVmException">It is no address, or nothing is there.</exception>
    internal HostFunction Find(string text)
    {
        string address = HostFunction.ParseAddress(text) ?? throw MicroVmException.Usage("that is no PCI address", text, "Give it as 0000:00:03.0; 'microvm vfio list' shows them");
        return Read(address) ?? throw MicroVmException.Usage("the host has no such PCI function", address, "'microvm vfio list' shows what it has");
    }

    /// <summary>The functions of an IOMMU group.</summary>
    internal IReadOnlyList<HostFunction> Group(int group) => [.. All().Where(f => f.Group == group)];

    /// <summary>Whether a group only pretends: VFIO made it for a device without an IOMMU.</summary>
    internal bool NoIommuGroup(int group) => Path.Exists($"{root}/dev/vfio/noiommu-{group}");

    /// <summary>Whether a group has a file by which its devices can be opened.</summary>
    internal bool HasGroupFile(int group) => Path.Exists($"{root}/dev/vfio/{group}");

    /// <summary>Whether a driver is loaded.</summary>
    internal bool HasDriver(string name) => Directory.Exists($"{root}{Drivers}/{name}");

    /// <summary>The folder of a function, as sysfs resolves it, below the root.</summary>
    internal static string PathOf(string address) => $"{Devices}/{address}";

    /// <summary>The folder of a driver, below the root.</summary>
    internal static string PathOfDriver(string name) => $"{Drivers}/{name}";

    /// <summary>A file's first line, or null if it cannot be read.</summary>
    internal string? Line(string path)
    {
        using HostFile? file = HostFile.TryOpen(root + path, Libc.O_RDONLY, out _);
        byte[] bytes = new byte[256];
        long count = file?.Read(bytes, 0) ?? -1;
        return count < 0 ? null : Encoding.UTF8.GetString(bytes, 0, (int)count).Split('\n')[0].Trim();
    }

    /// <summary>Writes a file of sysfs; 0 or the error number.</summary>
    internal int Write(string path, string text)
    {
        using HostFile? file = HostFile.TryOpen(root + path, Libc.O_WRONLY, out int error);
        if (file is null) return error;
        long done = file.Write(Encoding.UTF8.GetBytes(text), 0);
        return done < 0 ? (int)-done : 0;
    }

    private HostFunction? Read(string address)
    {
        string path = PathOf(address);
        if (Line($"{path}/vendor") is not { } vendor || Line($"{path}/device") is not { } device) return null;
        bool grouped = int.TryParse(LinkName($"{path}/iommu_group"), NumberStyles.None, CultureInfo.InvariantCulture, out int group);
        return new HostFunction(address, (ushort)Hex(vendor), (ushort)Hex(device), Hex(Line($"{path}/class") ?? ""), LinkName($"{path}/driver"),
            grouped ? group : null, LinkName($"{path}/iommu"), Line($"{path}/boot_vga") == "1") { Cdev = Cdev($"{root}{path}/vfio-dev") };
    }

    // The folder has one entry, which has a device number only where there is such a file.
    private static string? Cdev(string path)
    {
        if (!Directory.Exists(path)) return null;
        string? entry = Array.Find(Directory.GetFileSystemEntries(path), static e => Path.Exists($"{e}/dev"));
        return entry is null ? null : $"/dev/vfio/devices/{Path.GetFileName(entry)}";
    }

    private string? LinkName(string path) => new FileInfo(root + path).LinkTarget is { } target ? Path.GetFileName(target) : null;

    private static uint Hex(string text)
    {
        ReadOnlySpan<char> digits = text.StartsWith("0x", StringComparison.Ordinal) ? text.AsSpan(2) : text;
        return uint.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint value) ? value : 0;
    }
}
