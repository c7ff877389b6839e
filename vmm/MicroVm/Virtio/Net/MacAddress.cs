using System.Globalization;
using MicroVm.Devices;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Net;

/// <summary>An Ethernet address.</summary>
/// <param name="Value">Six bytes, the first in the lowest bits.</param>
public readonly record struct MacAddress(ulong Value)
{
    /// <summary>One byte of it, the first is 0.</summary>
    public byte this[int index] => (byte)(Value >> (8 * index));

    /// <summary>Whether a device may have it: neither zero nor a group's.</summary>
    public bool IsUnicast => Value != 0 && (Value & 1) == 0;

    /// <summary>A random one, locally administered.</summary>
    public static MacAddress Random()
    {
        Span<byte> bytes = stackalloc byte[VirtioNetConst.AddressLength];
        HostIo.FillRandom(bytes);
        bytes[0] = (byte)((bytes[0] & ~1) | 2);
        return From(bytes);
    }

    /// <summary>From its bytes.</summary>
    public static MacAddress From(ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        for (int i = 0; i < VirtioNetConst.AddressLength; i++) value |= (ulong)bytes[i] << (8 * i);
        return new MacAddress(value);
    }

    /// <summary>From <c>52:54:00:12:34:56</c>.</summary>
    public static bool TryParse(string text, out MacAddress mac)
    {
        mac = default;
        string[] parts = text.Split(':');
        if (parts.Length != VirtioNetConst.AddressLength) return false;
        ulong value = 0;
        for (int i = 0; i < parts.Length; i++)
        {
            if (parts[i].Length != 2 || !byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte b)) return false;
            value |= (ulong)b << (8 * i);
        }
        mac = new MacAddress(value);
        return mac.IsUnicast;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{this[0]:x2}:{this[1]:x2}:{this[2]:x2}:{this[3]:x2}:{this[4]:x2}:{this[5]:x2}");
}
