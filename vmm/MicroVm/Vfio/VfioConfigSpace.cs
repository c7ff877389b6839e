using System.Buffers.Binary;
using MicroVm.Devices;
using MicroVm.Memory;
using MicroVm.Pci;

namespace MicroVm.Vfio;

/// <summary>What the hardware's configuration space said when the machine began, and what of it a guest finds: the rules of <c>devices.def/vfio_config.def</c>, everything else reads 0.</summary>
internal sealed class VfioConfigSpace
{
    private const int MaxCapabilities = 48;

    private readonly byte[] _image;

    /// <param name="image">4096 bytes.</param>
    internal VfioConfigSpace(byte[] image)
    {
        _image = image;
        Capabilities = List();
    }

    /// <summary>Capabilities that are shown, in the hardware's order and at its offsets.</summary>
    internal IReadOnlyList<(PciCapabilityRule Id, uint Offset)> Capabilities { get; }

    /// <summary>Who the function is. Its interrupt pin is the hardware's only in that there is one.</summary>
    internal PciIdentity Identity(bool withPin) => new(
        Word(Header("VendorId")), Word(Header("DeviceId")), Dword(Header("Revision")) >> 8, _image[Header("Revision")],
        Word(Header("SubsystemVendorId")), Word(Header("SubsystemId")), withPin && HasPin ? (byte)1 : (byte)0);

    /// <summary>The hardware has an interrupt line.</summary>
    internal bool HasPin => _image[Header("InterruptPin")] != 0;

    /// <summary>It is an ordinary function, no bridge.</summary>
    internal bool IsOrdinary => (_image[Header("HeaderType")] & ~PciConst.MultiFunction) == 0;

    /// <summary>What a BAR's register said.</summary>
    internal uint Bar(int index) => Dword(Header("Bar") + (uint)index * sizeof(uint));

    internal ushort Word(uint offset) => BinaryPrimitives.ReadUInt16LittleEndian(_image.AsSpan((int)offset));

    internal uint Dword(uint offset) => BinaryPrimitives.ReadUInt32LittleEndian(_image.AsSpan((int)offset));

    /// <summary>Bytes of a capability that are shown as they were.</summary>
    internal uint Length(PciCapabilityRule id, uint offset) => id switch
    {
        PciCapabilityRule.Power => PciCapabilityConst.PowerLength,
        PciCapabilityRule.Express => Math.Min((_image[offset + 2] & 0xfu) >= 2 ? PciCapabilityConst.ExpressLength : (uint)PciCapabilityConst.ExpressLength1, PciCapabilityConst.ExtendedStart - offset),
        PciCapabilityRule.Vendor => Math.Min(Math.Max(_image[offset + 2], 4u), PciCapabilityConst.ExtendedStart - offset),
        PciCapabilityRule.Msix => PciCapabilityConst.MsixLength,
        _ => PciMsiCap.Size,
    };

    /// <summary>Copies the hardware's bytes to what the guest reads.</summary>
    internal void Copy(uint offset, uint length, ResidentPage page) => _image.AsSpan((int)offset, (int)length).CopyTo(page.Bytes(offset, (int)length));

    /// <summary>Copies the extended capabilities that are shown, and links them.</summary>
    internal void CopyExtended(ResidentPage page)
    {
        uint last = 0;
        foreach ((PciExtendedRule id, uint offset) in Extended())
        {
            uint length = id == PciExtendedRule.SerialNumber ? PciCapabilityConst.SerialLength : Dword(offset + PciCapabilityConst.VendorLengthOffset) >> (int)PciCapabilityConst.ExtendedNextShift;
            if (length < 8 || length > PciConst.FunctionSize - offset) continue;
            Copy(offset, length, page);
            page.Store(offset, Dword(offset) & ~(uint.MaxValue << (int)PciCapabilityConst.ExtendedNextShift));
            // The list begins at a fixed place: where the first is not shown, an empty one with only a pointer stands there.
            if (last == 0 && offset != PciCapabilityConst.ExtendedStart) last = PciCapabilityConst.ExtendedStart;
            if (last != 0) page.Store(last, page.Load<uint>(last) | offset << (int)PciCapabilityConst.ExtendedNextShift);
            last = offset;
        }
    }

    private List<(PciCapabilityRule, uint)> List()
    {
        List<(PciCapabilityRule, uint)> found = [];
        if ((Word(Header("Status")) & StatusCapabilities) == 0) return found;
        // A list that the hardware (or who emulates it) tied into a ring ends here too.
        uint at = _image[Header("CapabilityPointer")] & ~3u;
        for (int i = 0; i < MaxCapabilities && at >= PciConst.FirstCapability && at <= 0xfc; i++, at = _image[at + 1] & ~3u)
        {
            PciCapabilityRule id = (PciCapabilityRule)_image[at];
            if (!Enum.IsDefined(id) || found.Exists(f => f.Item1 == id && id != PciCapabilityRule.Vendor || f.Item2 == at)) continue;
            if (id == PciCapabilityRule.Msi && (Word(at + 2) & PciCapabilityConst.MsiAddress64) == 0) continue;
            if (at + Length(id, at) <= PciCapabilityConst.ExtendedStart) found.Add((id, at));
        }
        return found;
    }

    private IEnumerable<(PciExtendedRule, uint)> Extended()
    {
        uint at = PciCapabilityConst.ExtendedStart;
        for (int i = 0; i < MaxCapabilities && at >= PciCapabilityConst.ExtendedStart && at <= PciConst.FunctionSize - 8; i++)
        {
            uint head = Dword(at);
            if (head is 0 or uint.MaxValue) yield break;
            PciExtendedRule id = (PciExtendedRule)(head & PciCapabilityConst.ExtendedIdMask);
            if (Enum.IsDefined(id)) yield return (id, at);
            uint next = head >> (int)PciCapabilityConst.ExtendedNextShift & ~3u;
            // Only forward: hardware that points back would never end.
            if (next <= at) yield break;
            at = next;
        }
    }

    private static uint StatusCapabilities { get; } = 1u << Array.Find(Register("Status").Fields, static f => f.Name == "Capabilities")!.Low;

    private static uint Header(string register) => Register(register).Offset;

    private static Bus.RegisterInfo Register(string name) => Array.Find(PciHeader0.Catalog.Registers, r => r.Name == name)!;
}
