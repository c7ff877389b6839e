using System.Globalization;

namespace MicroVm.Vfio;

/// <summary>A PCI function of the host as sysfs shows it.</summary>
/// <param name="Address">Domain, bus, device, function: <c>0000:00:03.0</c>.</param>
/// <param name="Vendor">Vendor.</param>
/// <param name="Device">Device of that vendor.</param>
/// <param name="Class">Class, subclass, interface: 0xCCSSII.</param>
/// <param name="Driver">Driver that has it, or null.</param>
/// <param name="Group">IOMMU group, or null without an IOMMU.</param>
/// <param name="Iommu">Name of the IOMMU that it is behind, or null.</param>
/// <param name="IsBootDisplay">The firmware's display is on it.</param>
internal sealed record HostFunction(string Address, ushort Vendor, ushort Device, uint Class, string? Driver, int? Group, string? Iommu, bool IsBootDisplay)
{
    private const uint BridgeClass = 0x06;

    /// <summary>The file of the device alone, <c>/dev/vfio/devices/vfioN</c>; null where <c>vfio-pci</c> has not the device, or the kernel makes none (<c>CONFIG_VFIO_DEVICE_CDEV</c>).</summary>
    internal string? Cdev { get; init; }

    /// <summary>Part of the way to other functions, not a function to give away.</summary>
    internal bool IsBridge => Class >> 16 == BridgeClass;

    /// <summary>It is bound to the driver that gives devices to processes.</summary>
    internal bool IsOnVfio => Driver == HostPci.VfioDriver;

    /// <summary>The full address for one that may lack its domain; null if it is none. Digits are lower case as in sysfs.</summary>
    internal static string? ParseAddress(string text)
    {
        string[] parts = text.ToLowerInvariant().Split(':');
        if (parts.Length is < 2 or > 3) return null;
        string[] slot = parts[^1].Split('.');
        if (slot.Length != 2) return null;
        bool ok = TryHex(parts.Length == 3 ? parts[0] : "0", 4, 0xffff, out uint domain) & TryHex(parts[^2], 2, 0xff, out uint bus)
            & TryHex(slot[0], 2, 0x1f, out uint device) & TryHex(slot[1], 1, 7, out uint function);
        return ok ? $"{domain:x4}:{bus:x2}:{device:x2}.{function}" : null;
    }

    private static bool TryHex(string text, int digits, uint max, out uint value)
    {
        value = 0;
        return text.Length >= 1 && text.Length <= digits && uint.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value <= max;
    }
}
