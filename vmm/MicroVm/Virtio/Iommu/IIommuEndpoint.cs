namespace MicroVm.Virtio.Iommu;

/// <summary>What reaches memory through the IOMMU: a virtio function of this process, or an assigned one. Called on the IOMMU's thread, one call at a time.</summary>
internal interface IIommuEndpoint
{
    /// <summary>Who it is: bus, device and function as one number.</summary>
    uint Id { get; }

    /// <summary>Name in messages.</summary>
    string Name { get; }

    /// <summary>Ranges that the host cannot map for it, in order.</summary>
    IReadOnlyList<(ulong First, ulong Last)> Holes { get; }

    /// <summary>From now on it reaches what the domain maps; null: nothing. False if the host refuses: then nothing.</summary>
    bool TryEnter(IommuDomain? domain);

    /// <summary>Its domain is about to have one more mapping. False, and nothing done, if the host refuses.</summary>
    bool TryMap(in IommuMapping mapping);

    /// <summary>Its domain has lost a mapping. When this returns true it reaches it no more.</summary>
    bool Unmap(in IommuMapping mapping);
}
