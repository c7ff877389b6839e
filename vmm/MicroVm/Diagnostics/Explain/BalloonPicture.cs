using MicroVm.Virtio.Balloon;

namespace MicroVm.Diagnostics.Explain;

/// <summary>What the balloon should have, has, and did. The guest is not asked for its figures here: a picture is taken at once.</summary>
internal static class BalloonPicture
{
    internal static void Add(List<Section> picture, MachineParts parts)
    {
        if (parts.Find<VirtioBalloonDevice>() is not { } balloon) return;
        BalloonInfo info = BalloonInfo.Of(balloon, patienceMilliseconds: 0);
        Section section = new("balloon", "target", "actual", "inflated", "deflated", "reported", "ignoredPages");
        section.Add(info.TargetBytes, info.ActualBytes, info.InflatedBytes, info.DeflatedBytes, info.ReportedBytes, info.IgnoredPages);
        picture.Add(section);
    }
}
